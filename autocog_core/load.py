"""load(): from a name in the config file, or a backend's name and options, to a Model."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from autocog_core import plugins
from autocog_core.checked_model import CheckedPlugin, check_model
from autocog_core.config import Config, ModelConfig, read_config
from autocog_core.errors import AutocogError, ConfigError, ModelLoadError
from autocog_core.model import Model


def load(
    name: str | None = None,
    *,
    config: str | os.PathLike[str] | Config | None = None,
    backend: str | None = None,
    options: Mapping[str, Any] | None = None,
    completion: Mapping[str, Any] | None = None,
) -> Model:
    """Load a model.

    :param name: a model of the config file; None takes its default.
    :param config: the config file, or one already read; None looks for it.
    :param backend: load this backend with `options` instead; no config file is read.
    :param completion: default arguments of `complete`, over those of the config.
    :raises ConfigError: if no such model is configured, or its options are wrong.
    :raises PluginError: if its backend or a wrapper cannot be used.
    :raises ModelLoadError: if the engine cannot make a model of what it was given.
    """
    if backend is not None:
        if name is not None or config is not None:
            raise ConfigError("give either a model's name or a backend", where="load")
        given = ModelConfig(backend=backend, options=dict(options or {}))
        return _load(backend, given, Config(), "", completion)
    if options is not None:
        raise ConfigError("options go with `backend`", where="load")
    found = config if isinstance(config, Config) else read_config(config)
    name, model = found.model(name)
    return _load(name, model, found, f"models.{name}.", completion)


@dataclass
class _Engine:
    """What a backend's `create` returned, and how many open models use it."""

    created: dict[str, Any]
    users: int = 0
    lock: AbstractContextManager[Any] = field(default_factory=threading.RLock)


_engines: dict[str, _Engine] = {}
_engines_lock = threading.Lock()


def _load(
    name: str,
    model: ModelConfig,
    config: Config,
    key: str,
    completion: Mapping[str, Any] | None,
) -> Model:
    checked = check_model(model, config, key, completion)
    wrappers = [wrapper.loaded(**wrapper.options) for wrapper in checked.wrappers]
    engine, release = _engine(name, model, config, checked.backend)
    try:
        with _load_errors(name, model.backend):
            wrapped = checked.backend.loaded(completion_kwargs=checked.completion, **engine.created)
        return Model(
            wrapped,
            wrappers=wrappers,
            completion=checked.completion,
            retry=model.retry.policy(),
            # All models of an engine take turns, also where its backend has no lock of its own.
            lock=engine.lock if model.engine is not None else None,
            name=name,
            on_close=release,
        )
    except BaseException:
        release()
        raise


def _engine(
    name: str,
    model: ModelConfig,
    config: Config,
    backend: CheckedPlugin,
) -> tuple[_Engine, Callable[[], None]]:
    """What `create` makes of the options: shared among models of one `engine`; how to let it go."""
    if model.engine is None:
        return _Engine(_create(name, model.backend, backend)), lambda: None
    # The unresolved options: a key must not hold a secret.
    key = json.dumps([str(config.path), model.engine, model.backend, model.options], default=str)
    with _engines_lock:
        engine = _engines.get(key)
        if engine is None:
            engine = _Engine(_create(name, model.backend, backend))
            _engines[key] = engine
        engine.users += 1
    released = False

    def release() -> None:
        nonlocal released
        with _engines_lock:
            if not released:
                released = True
                engine.users -= 1
                if engine.users == 0:
                    _engines.pop(key, None)

    return engine, release


def _create(name: str, backend: str, checked: CheckedPlugin) -> dict[str, Any]:
    with _load_errors(name, backend):
        created: dict[str, Any] = checked.loaded.create(**checked.options)
    return created


@contextmanager
def _load_errors(name: str, backend: str) -> Iterator[None]:
    """Turn what the backend's own code raises into errors that say what to do."""
    where = f'model "{name}"'
    try:
        yield
    except AutocogError as error:
        error.where = error.where or where
        raise
    except ModuleNotFoundError as error:
        raise plugins.import_failure(
            error, plugins.find_installed(backend), f'backend "{backend}"'
        ) from error
    except Exception as error:
        raise ModelLoadError(
            f'backend "{backend}" could not load it: {type(error).__name__}: {error}', where=where
        ) from error
