"""What is written of a model, checked: its plugins, their options, and defaults of `complete`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autocog_core import plugins, secrets
from autocog_core.completion import check_defaults, merged
from autocog_core.config import Config, ModelConfig, resolve_secrets, validate


@dataclass(frozen=True)
class CheckedPlugin:
    """A backend or a wrapper, and the options that it is to be made with.

    :ivar options: only those that were given: what takes them has defaults of its own.
    """

    loaded: type[Any]
    options: dict[str, Any]


@dataclass(frozen=True)
class CheckedModel:
    """All that a model is to be made of."""

    backend: CheckedPlugin
    wrappers: tuple[CheckedPlugin, ...]
    completion: dict[str, Any]


def check_model(
    model: ModelConfig,
    config: Config,
    key: str = "",
    completion: Mapping[str, Any] | None = None,
) -> CheckedModel:
    """Import a model's plugins, and check what is written of it; nothing is made yet.

    What of it is secret is taken out of messages from then on.

    :param key: where it stands in the config, "models.NAME."; nothing where it stands in none.
    :param completion: default arguments of `complete`, over those of the config.
    :raises PluginError: for a plugin that does not load.
    :raises ConfigError: for options, or default arguments, that are wrong.
    """
    where = config.source if config.path is not None else f'backend "{model.backend}"'

    def checked(plugin: type[Any], options: Mapping[str, Any], name: str) -> CheckedPlugin:
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
    for name, value in secrets.texts_in(arguments):
        secrets.conceal_option(name, value)
    check_defaults(arguments, f"{where}: {key}completion")
    return CheckedModel(backend, wrappers, arguments)


def hidden_options(plugin: type[Any]) -> list[str]:
    """The options that a plugin keeps out of sight: `Field(repr=False)`."""
    fields = getattr(plugin.Options, "model_fields", {})
    return [name for name, field in fields.items() if not field.repr]


def _checked(
    plugin: type[Any], options: Mapping[str, Any], config: Config, where: str, key: str
) -> CheckedPlugin:
    for name, value in secrets.texts_in(options):
        secrets.conceal_option(name, value)
    for name in hidden_options(plugin):
        for _, value in secrets.texts_in(options.get(name)):
            secrets.conceal_words(value)
    resolved = resolve_secrets(options, where=where, key=key)
    valid = validate(plugin.Options, resolved, where=where, prefix=key, folder=config.folder)
    return CheckedPlugin(plugin, {name: getattr(valid, name) for name in valid.model_fields_set})
