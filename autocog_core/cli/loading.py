"""Loading the model of a command, with a spinner and log messages on stderr."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import autocog_core as autocog
from autocog_core.cli.inputs import parse_backend_options
from autocog_core.cli.options import (
    BackendName,
    BackendOption,
    ConfigFile,
    ModelName,
    Silence,
    TemplateArgument,
)
from autocog_core.cli.session import session
from autocog_core.cli.small_model import hint_without_model
from autocog_core.config import plugins
from autocog_core.errors import ConfigError, InputError
from autocog_core.redaction import redact

if TYPE_CHECKING:
    from autocog_core.config.config_file import Config
    from autocog_core.model.model import Model


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """The options that select the model of a command.

    :ivar model: a model of the config file; None for its default model.
    :ivar config: the config file; None to search for it.
    :ivar backend: a backend to load without a config file.
    :ivar option: `KEY=VALUE` options of `backend`.
    :ivar template_argument: `KEY=VALUE` variables of the model's chat template.
    :ivar silence: codes of warnings; the option itself silences them.
    """

    model: ModelName = None
    config: ConfigFile = None
    backend: BackendName = None
    option: BackendOption = None
    template_argument: TemplateArgument = None
    silence: Silence = None

    @property
    def template_arguments(self) -> dict[str, Any]:
        """The variables of the model's chat template.

        :raises InputError: for a malformed pair, a repeated name, or a wrong variable.
        """
        from autocog_core.types.prompt import check_template_arguments

        arguments = parse_backend_options(self.template_argument or (), "--template-argument")
        check_template_arguments(arguments)
        return arguments

    @contextmanager
    def open(self) -> Iterator[Model]:
        """Load the model; close it at the end of the block.

        :raises UsageError: if options contradict each other; also what `load` raises.
        """
        load_model = self.loader()
        with log_on_stderr(), load_model() as model:
            yield model

    def is_any_configured(self) -> bool:
        """Return whether the options or a config file name a model, so that one can be loaded."""
        return any((self.backend, self.model, self.config)) or bool(
            autocog.read_config(None).models
        )

    def loader(self) -> Callable[[], Model]:
        """Return a function that loads the model, a new one at each call.

        :raises UsageError: if options contradict each other.
        """
        if self.backend is None:
            if self.option:
                raise InputError("requires --backend", where="--option")
            return partial(load_configured_model, self.model, self.config, self.template_arguments)
        if self.model is not None or self.config is not None:
            other = "--config" if self.model is None else "--model"
            raise InputError(
                f"cannot be combined with {other}, because it uses no config file",
                where="--backend",
                hint=f"leave out {other} or --backend",
            )
        arguments = self.template_arguments
        return partial(self._load_backend, arguments)

    def load_pair(self) -> tuple[Model, Model]:
        """Load two models that share one engine."""
        from autocog_core.config.config_file import Config, ModelConfig

        if self.backend is not None:
            name = self.backend
            entry = ModelConfig(backend=name, options=parse_backend_options(self.option or ()))
            config = Config()
        else:
            config, name = _find_model(self.model, self.config)
            entry = config.models[name]
        sharing = entry.model_copy(update={"engine": "shared by the pair"})
        config = config.model_copy(update={"models": {**config.models, name: sharing}})
        arguments = self.template_arguments
        with session.spinner(f"loading {name} ..."):
            first = autocog.load(name, config=config, template_arguments=arguments)
            try:
                return first, autocog.load(name, config=config, template_arguments=arguments)
            except BaseException:
                first.close()
                raise

    def _load_backend(self, template_arguments: Mapping[str, Any]) -> Model:
        assert self.backend is not None
        options = parse_backend_options(self.option or ())
        with session.spinner(f"loading {self.backend} ..."):
            return autocog.load(
                backend=self.backend, options=options, template_arguments=template_arguments
            )


def load_configured_model(
    name: str | None,
    config_path: Path | None,
    template_arguments: Mapping[str, Any] | None = None,
) -> Model:
    """Load a model of the config file; its default model for None."""
    config, name = _find_model(name, config_path)
    with session.spinner(f"loading {name} ..."):
        return autocog.load(name, config=config, template_arguments=template_arguments)


def load_named_model(name: str, options: Mapping[str, Any], config_path: Path | None) -> Model:
    """Load a model of the config file, or else a backend of that name.

    :param name: the model, or the backend.
    :param options: its options; those of the config file hold for the others.
    :param config_path: the config file; None to search for it.
    :raises ConfigError: if neither has that name.
    """
    config = autocog.read_config(config_path)
    if name not in config.models and _is_backend(name):
        with session.spinner(f"loading {name} ..."):
            return autocog.load(backend=name, options=options)
    if options:
        _, entry = config.model(name)
        # A model with other options cannot share an engine.
        merged = {"options": {**entry.options, **options}, "engine": None}
        models = {**config.models, name: entry.model_copy(update=merged)}
        config = config.model_copy(update={"models": models})
    config.model(name)
    with session.spinner(f"loading {name} ..."):
        return autocog.load(name, config=config)


def _is_backend(name: str) -> bool:
    return plugins.is_plugin_name(name, plugins.BACKENDS) or plugins.find_alias(name) is not None


def _find_model(name: str | None, config_path: Path | None) -> tuple[Config, str]:
    """Return the config and the model's name in it; without any model, say what to type."""
    config = autocog.read_config(config_path)
    if not config.models and name is None and config_path is None:
        raise ConfigError(
            "no model is configured",
            where=config.source,
            hint=hint_without_model(session.arguments),
        )
    return config, config.model(name)[0]


class _SessionHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        message = redact(self.format(record))
        if record.levelno >= logging.WARNING:
            session.warn(message)
        else:
            session.info(message)


@contextmanager
def log_on_stderr() -> Iterator[None]:
    """Show the log messages of core and the plugins: a plugin's logger has its package's name."""
    packages = {plugin.target.partition(".")[0] for plugin in plugins.installed_plugins()}
    level = logging.DEBUG if session.debug else logging.INFO
    handler = _SessionHandler()
    previous_levels: dict[logging.Logger, int] = {}
    for package in sorted({"autocog_core", *packages}):
        logger = logging.getLogger(package)
        previous_levels[logger] = logger.level
        logger.setLevel(level)
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger, previous_level in previous_levels.items():
            logger.removeHandler(handler)
            logger.setLevel(previous_level)
