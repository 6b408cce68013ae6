"""Registering plugins with pluggy, and reading which hooks they implement."""

from __future__ import annotations

import pluggy

from autocog_core.errors import (
    PluginBrokenError,
    did_you_mean,
)
from autocog_core.hooks import specs
from autocog_core.hooks.specs import PROJECT_NAME


def hooks_of(plugin: object) -> list[str]:
    """Names of the hooks that a class or an instance implements, sorted."""
    manager = new_manager()
    names = set()
    for attribute in dir(plugin):
        try:
            options = manager.parse_hookimpl_opts(plugin, attribute)
        except Exception:  # noqa: BLE001, S112 - an attribute that cannot be read is no hook
            continue
        if options is not None:
            names.add(options.get("specname") or attribute)
    return sorted(names)


def new_manager() -> pluggy.PluginManager:
    """A fresh manager that knows the hook specifications: one for every loaded model."""
    manager = pluggy.PluginManager(PROJECT_NAME)
    manager.add_hookspecs(specs)
    return manager


def register(manager: pluggy.PluginManager, plugin: object, name: str) -> None:
    """Register `plugin`, and refuse one with a hook that no specification knows.

    :raises PluginBrokenError: for a misspelt hook or wrong parameters.
    """
    try:
        manager.register(plugin, name=name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        unknown = sorted(set(hooks_of(plugin)) - _specified())
        what = f'no hook is called "{unknown[0]}"' if unknown else str(error).splitlines()[-1]
        hint = did_you_mean(unknown[0], _specified()) if unknown else ""
        raise PluginBrokenError(what, where=f'plugin "{name}"', hint=hint) from error


def _specified() -> set[str]:
    return {name for name in vars(specs) if hasattr(getattr(specs, name), "autocog_spec")}
