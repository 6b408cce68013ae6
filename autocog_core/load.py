"""load(): from a name in the config file, or a backend's name and options, to a Model."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from autocog_core import plugins
from autocog_core.completion import check_defaults, merged
from autocog_core.config import (
    Config,
    ModelConfig,
    WrapperConfig,
    read_config,
    resolve_secrets,
    validate,
)
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
        return _load(backend, given, Config(), "options", completion)
    if options is not None:
        raise ConfigError("options go with `backend`", where="load")
    found = config if isinstance(config, Config) else read_config(config)
    name, model = found.model(name)
    return _load(name, model, found, f"models.{name}.options", completion)


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
    backend_class = plugins.load_class(model.backend)
    where = config.source if config.path is not None else f'backend "{model.backend}"'
    options = resolve_secrets(model.options, where=where, key=key)
    checked = validate(
        backend_class.Options, options, where=where, prefix=key, folder=config.folder
    )
    wrappers = [_wrapper(entry, config, name) for entry in model.wrappers]
    arguments = merged(model.completion, completion or {})
    check_defaults(arguments, f"{where}: {key.removesuffix('options')}completion")
    engine, release = _engine(name, model, config, backend_class, _given(checked))
    try:
        with _load_errors(name, model.backend):
            wrapped = backend_class(completion_kwargs=arguments, **engine.created)
        return Model(
            wrapped,
            wrappers=wrappers,
            completion=arguments,
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
    backend_class: type[Any],
    options: Mapping[str, Any],
) -> tuple[_Engine, Callable[[], None]]:
    """What `create` makes of the options: shared among models of one `engine`; how to let it go."""
    if model.engine is None:
        return _Engine(_create(name, model.backend, backend_class, options)), lambda: None
    # The unresolved options: a key must not hold a secret.
    key = json.dumps([str(config.path), model.engine, model.backend, model.options], default=str)
    with _engines_lock:
        engine = _engines.get(key)
        if engine is None:
            engine = _Engine(_create(name, model.backend, backend_class, options))
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


def _create(
    name: str, backend: str, backend_class: type[Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    with _load_errors(name, backend):
        created: dict[str, Any] = backend_class.create(**options)
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


def _wrapper(entry: WrapperConfig, config: Config, model: str) -> object:
    wrapper_class = plugins.load_class(entry.name, plugins.WRAPPERS)
    key = f"models.{model}.wrappers.{entry.name}"
    resolved = resolve_secrets(entry.options, where=config.source, key=key)
    checked = validate(
        wrapper_class.Options, resolved, where=config.source, prefix=key, folder=config.folder
    )
    wrapper: object = wrapper_class(**_given(checked))
    return wrapper


def _given(checked: BaseModel) -> dict[str, Any]:
    """Only the options that were given: what takes them has defaults of its own."""
    return {option: getattr(checked, option) for option in checked.model_fields_set}
