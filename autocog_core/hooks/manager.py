"""pluggy managers: which hooks a plugin implements, and its registration."""

from __future__ import annotations

from functools import cache

import pluggy

from autocog_core.errors import PluginBrokenError, did_you_mean
from autocog_core.hooks import specs
from autocog_core.hooks.specs import PROJECT_NAME


def hooks_of(plugin: object) -> list[str]:
    """Return the names of the hooks that a class or an instance implements, sorted."""
    manager = new_manager()
    names = set()
    for attribute in dir(plugin):
        try:
            options = manager.parse_hookimpl_opts(plugin, attribute)
        except Exception:  # noqa: BLE001, S112 - an unreadable attribute is no hook
            continue
        if options is not None:
            names.add(options.get("specname") or attribute)
    return sorted(names)


def new_manager() -> pluggy.PluginManager:
    """Return a new manager with the hook specifications. Every loaded model has its own."""
    manager = pluggy.PluginManager(PROJECT_NAME)
    manager.add_hookspecs(specs)
    return manager


def register(manager: pluggy.PluginManager, plugin: object, name: str) -> None:
    """Register a plugin, and reject one with an unknown hook.

    :param manager: the manager of one model.
    :param plugin: a backend, a wrapper, or core's own hooks.
    :param name: the plugin's name, for messages.
    :raises PluginBrokenError: for a misspelled hook or wrong parameters.
    """
    try:
        manager.register(plugin, name=name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        unknown = sorted(set(hooks_of(plugin)) - hook_names())
        message = f'no hook is called "{unknown[0]}"' if unknown else str(error).splitlines()[-1]
        hint = did_you_mean(unknown[0], hook_names()) if unknown else ""
        raise PluginBrokenError(message, where=f'plugin "{name}"', hint=hint) from error


@cache
def hook_names() -> frozenset[str]:
    """Return the names of all hooks."""
    return frozenset(name for name in vars(specs) if hasattr(getattr(specs, name), "autocog_spec"))
