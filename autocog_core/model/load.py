"""load(): from a name in the config file, or a backend's name and options, to a Model."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from autocog_core import redaction
from autocog_core.config import plugins
from autocog_core.config.config_file import Config, ModelConfig, read_config, resolve_secrets
from autocog_core.config.options import validate
from autocog_core.errors import AutocogError, ConfigError, ModelLoadError
from autocog_core.model.completion_arguments import merged, validate_defaults
from autocog_core.model.model import Model


@dataclass(frozen=True)
class ResolvedPlugin:
    """A backend or a wrapper, and the options that it is to be made with.

    :ivar options: only those that were given: what takes them has defaults of its own.
    """

    loaded: type[Any]
    options: dict[str, Any]


@dataclass(frozen=True)
class ResolvedModel:
    """All that a model is to be made of."""

    backend: ResolvedPlugin
    wrappers: tuple[ResolvedPlugin, ...]
    completion: dict[str, Any]


def resolve_model(
    model: ModelConfig,
    config: Config,
    key: str = "",
    completion: Mapping[str, Any] | None = None,
) -> ResolvedModel:
    """Import a model's plugins, and check what is written of it; nothing is made yet.

    What of it is secret is taken out of messages from then on.

    :param key: where it stands in the config, "models.NAME."; nothing where it stands in none.
    :param completion: default arguments of `complete`, over those of the config.
    :raises PluginError: for a plugin that does not load.
    :raises ConfigError: for options, or default arguments, that are wrong.
    """
    where = config.source if config.path is not None else f'backend "{model.backend}"'

    def checked(plugin: type[Any], options: Mapping[str, Any], name: str) -> ResolvedPlugin:
        return _checked(plugin, options, config, where, f"{key}{name}")

    backend = checked(plugins.load_class(model.backend), model.options, "options")
    wrappers = tuple(
        checked(
            plugins.load_class(entry.name, plugins.WRAPPERS),
            entry.options,
            f"wrappers.{entry.name}",
        )
        for entry in model.wrappers
    )
    arguments = merged(model.completion, completion or {})
    for name, value in redaction.texts_in(arguments):
        redaction.register_secret_option(name, value)
    validate_defaults(arguments, f"{where}: {key}completion")
    return ResolvedModel(backend, wrappers, arguments)


def hidden_options(plugin: type[Any]) -> list[str]:
    """The options that a plugin keeps out of sight: `Field(repr=False)`."""
    fields = getattr(plugin.Options, "model_fields", {})
    return [name for name, field in fields.items() if not field.repr]


def _checked(
    plugin: type[Any], options: Mapping[str, Any], config: Config, where: str, key: str
) -> ResolvedPlugin:
    for name, value in redaction.texts_in(options):
        redaction.register_secret_option(name, value)
    for name in hidden_options(plugin):
        for _, value in redaction.texts_in(options.get(name)):
            redaction.register_secret_words(value)
    resolved = resolve_secrets(options, where=where, key=key)
    valid = validate(plugin.Options, resolved, where=where, prefix=key, folder=config.folder)
    return ResolvedPlugin(plugin, {name: getattr(valid, name) for name in valid.model_fields_set})


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
    checked = resolve_model(model, config, key, completion)
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
    backend: ResolvedPlugin,
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


def _create(name: str, backend: str, checked: ResolvedPlugin) -> dict[str, Any]:
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
