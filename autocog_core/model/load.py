"""load(): make a Model of a name in the config file, or of a backend's name and options."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from autocog_core import redaction
from autocog_core.advice.issue import silence
from autocog_core.config import plugins
from autocog_core.config.config_file import Config, ModelConfig, read_config, resolve_secrets
from autocog_core.config.options import validate
from autocog_core.config.plugin_label import label_of_plugin
from autocog_core.errors import (
    AUTHOR_HINT,
    AutocogError,
    ConfigError,
    InputError,
    ModelLoadError,
    OutOfMemoryError,
    PluginBrokenError,
)
from autocog_core.model.completion_arguments import merge_arguments, validate_defaults
from autocog_core.model.create_call import call_create
from autocog_core.model.model import Model
from autocog_core.model.shared_engines import use_engine
from autocog_core.types.prompt import check_template_arguments


@dataclass(frozen=True, kw_only=True)
class ResolvedPlugin:
    """A backend or a wrapper, and its validated options.

    :ivar plugin_class: the plugin's class.
    :ivar valid: the options, an instance of the class's `Options`.
    """

    plugin_class: type[Any]
    valid: Any

    @property
    def options(self) -> dict[str, Any]:
        """The options that are configured; the class has defaults for the others."""
        return {name: getattr(self.valid, name) for name in self.valid.model_fields_set}


@dataclass(frozen=True, kw_only=True)
class ResolvedModel:
    """The plugins and defaults that a model is made of.

    :ivar backend: the backend.
    :ivar wrappers: the wrappers, outermost first.
    :ivar completion: default arguments of `complete`.
    :ivar template_arguments: variables of the model's chat template.
    """

    backend: ResolvedPlugin
    wrappers: tuple[ResolvedPlugin, ...]
    completion: dict[str, Any]
    template_arguments: dict[str, Any]


def resolve_model(
    model: ModelConfig,
    config: Config,
    key: str = "",
    completion: Mapping[str, Any] | None = None,
    template_arguments: Mapping[str, Any] | None = None,
) -> ResolvedModel:
    """Import a model's plugins and validate its options; no engine is loaded yet.

    From then on, messages do not show the secrets among the options.

    :param model: the model's configuration.
    :param config: the whole configuration.
    :param key: the model's place in the config, "models.NAME."; empty if it has none.
    :param completion: default arguments of `complete`, which override those of the config.
    :param template_arguments: variables of the model's chat template, which override those of the
        config.
    :raises PluginError: for a plugin that does not load.
    :raises ConfigError: for options, or default arguments, that are wrong.
    """
    where = config.source if config.path is not None else f'backend "{model.backend}"'

    def resolve(plugin: type[Any], options: Mapping[str, Any], name: str) -> ResolvedPlugin:
        return _resolve_plugin(plugin, options, config, where, f"{key}{name}")

    alias = plugins.find_alias(model.backend)
    options = model.options if alias is None else {**alias.options, **model.options}
    backend = resolve(plugins.load_class(model.backend), options, "options")
    wrappers = tuple(
        resolve(
            plugins.load_class(entry.name, plugins.WRAPPERS),
            entry.options,
            f"wrappers.{entry.name}",
        )
        for entry in model.wrappers
    )
    arguments = merge_arguments(model.completion, completion or {})
    for name, value in redaction.find_texts(arguments):
        redaction.register_secret_option(name, value)
    validate_defaults(arguments, f"{where}: {key}completion")
    variables = {**model.template_arguments, **(template_arguments or {})}
    try:
        check_template_arguments(variables)
    except InputError as error:
        place = f"{where}: {key}template_arguments"
        raise ConfigError(error.message, where=place, hint=error.hint) from None
    return ResolvedModel(
        backend=backend,
        wrappers=wrappers,
        completion=arguments,
        template_arguments=variables,
    )


def hidden_options(plugin: type[Any]) -> list[str]:
    """Return the names of options that must not be shown: `Field(repr=False)`."""
    fields = getattr(plugin.Options, "model_fields", {})
    return [name for name, field in fields.items() if not field.repr]


def _resolve_plugin(
    plugin: type[Any], options: Mapping[str, Any], config: Config, where: str, key: str
) -> ResolvedPlugin:
    for name, value in redaction.find_texts(options):
        redaction.register_secret_option(name, value)
    for name in hidden_options(plugin):
        for _, value in redaction.find_texts(options.get(name)):
            redaction.register_secret_words(value)
    resolved = resolve_secrets(options, where=where, key=key)
    valid = validate(plugin.Options, resolved, where=where, prefix=key, folder=config.folder)
    return ResolvedPlugin(plugin_class=plugin, valid=valid)


def load(
    name: str | None = None,
    *,
    config: str | os.PathLike[str] | Config | None = None,
    backend: str | None = None,
    options: Mapping[str, Any] | None = None,
    completion: Mapping[str, Any] | None = None,
    template_arguments: Mapping[str, Any] | None = None,
) -> Model:
    """Load a model. The warnings that the config file silences are not shown from then on.

    :param name: a model of the config file; None takes its default model.
    :param config: the config file's path, or a config already read; None searches for the file.
    :param backend: a backend's name, or a usual name of its engine or server. Then `options` are
        its options, and no config file is read.
    :param options: options of `backend`.
    :param completion: default arguments of `complete`, which override those of the config.
    :param template_arguments: variables of the model's chat template, which override those of the
        config.
    :raises ConfigError: if no such model is configured, or its options are wrong.
    :raises PluginError: if its backend or a wrapper cannot be used.
    :raises ModelLoadError: if the engine cannot load the model.
    """
    if backend is not None:
        if name is not None or config is not None:
            raise ConfigError("give either a model's name or a backend", where="load")
        unnamed = ModelConfig(backend=backend, options=dict(options or {}))
        return _load(backend, unnamed, Config(), "", completion, template_arguments)
    if options is not None:
        raise ConfigError("options go with `backend`", where="load")
    whole = config if isinstance(config, Config) else read_config(config)
    name, model = whole.model(name)
    silence(*whole.warnings.silence)
    return _load(name, model, whole, f"models.{name}.", completion, template_arguments)


def _load(
    name: str,
    model: ModelConfig,
    config: Config,
    key: str,
    completion: Mapping[str, Any] | None,
    template_arguments: Mapping[str, Any] | None,
) -> Model:
    resolved = resolve_model(model, config, key, completion, template_arguments)
    wrappers = [_make_wrapper(name, wrapper) for wrapper in resolved.wrappers]

    def make_backend(created: dict[str, Any]) -> Any:
        with _load_errors(name, model.backend):
            return resolved.backend.plugin_class(completion_kwargs=resolved.completion, **created)

    use = use_engine(
        _engine_key(model, config),
        lambda: _create(name, model.backend, resolved.backend),
        make_backend,
    )
    try:
        return Model(
            use.backend,
            wrappers=wrappers,
            completion=resolved.completion,
            template_arguments=resolved.template_arguments,
            retry=model.retry.policy(),
            # Models of one engine take turns, even if each backend has a lock of its own.
            engine_lock=use.lock,
            name=name,
            on_close=use.release,
        )
    except BaseException:
        use.release()
        raise


def _engine_key(model: ModelConfig, config: Config) -> str | None:
    """Return what identifies an engine that models share; None if the model shares none."""
    if model.engine is None:
        return None
    # The unresolved options: a key must not hold a secret.
    # The process: a fork cannot use its parent's engine.
    parts = [os.getpid(), str(config.path), model.engine, model.backend, model.options]
    return json.dumps(parts, default=str)


def _create(name: str, backend: str, resolved: ResolvedPlugin) -> dict[str, Any]:
    with _load_errors(name, backend):
        return call_create(resolved.plugin_class, resolved.valid, resolved.options)


@contextmanager
def _load_errors(name: str, backend: str) -> Iterator[None]:
    """Turn errors of the backend's own code into errors that say what to do."""
    where = f'model "{name}"'
    try:
        yield
    except AutocogError as error:
        error.where = error.where or where
        raise
    except ModuleNotFoundError as error:
        raise plugins.diagnose_import_error(error, plugins.find_installed(backend)) from error
    except Exception as error:
        label = plugins.plugin_label(plugins.find_installed(backend))
        if isinstance(error, MemoryError):
            raise OutOfMemoryError(
                f"{label} ran out of memory", where=where, hint="close other models"
            ) from error
        raise ModelLoadError(
            f"{label} could not load it: {type(error).__name__}: {error}", where=where
        ) from error


def _make_wrapper(name: str, wrapper: ResolvedPlugin) -> Any:
    """Return a new wrapper for the model of this name."""
    try:
        return wrapper.plugin_class(**wrapper.options)
    except AutocogError:
        raise
    except Exception as error:
        raise PluginBrokenError(
            f"{label_of_plugin(wrapper.plugin_class)} raised {type(error).__name__}: {error}",
            where=f'model "{name}"',
            hint=AUTHOR_HINT,
        ) from error
