"""Opening the model that a command asks for, and telling what is being waited for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from autocog_core import load, read_config
from autocog_core.cli.inputs import backend_options
from autocog_core.cli.session import session
from autocog_core.config import plugins
from autocog_core.errors import InputError
from autocog_core.model.model import Model
from autocog_core.redaction import redact


@contextmanager
def open_model(
    name: str | None, config: Path | None, backend: str | None, options: Sequence[str] | None
) -> Iterator[Model]:
    """Load the model, and close it however the command ends.

    :raises UsageError: for arguments that contradict each other, and all that `load` raises.
    """
    make = loader(name, config, backend, options)
    with messages_on_stderr(), make() as model:
        yield model


def loader(
    name: str | None, config: Path | None, backend: str | None, options: Sequence[str] | None
) -> Callable[[], Model]:
    """What loads the model, a new one with every call.

    :raises UsageError: for arguments that contradict each other.
    """
    if options and backend is None:
        raise InputError("goes with --backend", where="--option")
    if backend is not None and (name is not None or config is not None):
        other = "--model" if name is not None else "--config"
        raise InputError(f"does not go with {other}", where="--backend")
    return partial(_load, name, config, backend, options or ())


def _load(
    name: str | None, config: Path | None, backend: str | None, options: Sequence[str]
) -> Model:
    if backend is not None:
        given = backend_options(options)
        with session.waiting(f"loading {backend} ..."):
            return load(backend=backend, options=given)
    found = read_config(config)
    name, _ = found.model(name)
    with session.waiting(f"loading {name} ..."):
        return load(name, config=found)


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        message = redact(self.format(record))
        if record.levelno >= logging.WARNING:
            session.warn(message)
        else:
            session.note(message)


@contextmanager
def messages_on_stderr() -> Iterator[None]:
    """Show what core and backends log: a plugin's logger is named like its package."""
    packages = {plugin.target.partition(".")[0] for plugin in plugins.installed_plugins()}
    level = logging.DEBUG if session.debug else logging.INFO
    handler = _Handler()
    before: dict[logging.Logger, int] = {}
    for package in sorted({"autocog_core", *packages}):
        logger = logging.getLogger(package)
        before[logger] = logger.level
        logger.setLevel(level)
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger, level in before.items():
            logger.removeHandler(handler)
            logger.setLevel(level)
