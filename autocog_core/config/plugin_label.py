"""What messages call a plugin: its class, and the distribution that it comes from."""

from __future__ import annotations

from functools import cache
from typing import Any

from autocog_core.config.plugins import (
    BACKENDS,
    COMMANDS,
    RUNNERS,
    WRAPPERS,
    InstalledPlugin,
    installed_plugins,
)

#: The package of core, which has plugins of its own.
CORE_PACKAGE = "autocog_core"


def label_of_plugin(plugin: object) -> str:
    """Return the name of a plugin's class with its distribution and version.

    Without a distribution, such as in a notebook, the module stands for it.

    :param plugin: a backend, a wrapper or a runner.
    """
    return _label_of_class(plugin if isinstance(plugin, type) else type(plugin))


@cache
def _label_of_class(plugin_class: type[Any]) -> str:
    installed = find_plugin_of_module(plugin_class.__module__)
    origin = plugin_class.__module__
    if installed is not None:
        origin = f"{installed.distribution} {installed.version}"
    return f"{plugin_class.__name__} ({origin})"


def find_raising_plugin(error: BaseException) -> InstalledPlugin | None:
    """Return the installed plugin whose code raised an exception; None if it was core's code.

    Libraries that the plugin or core has called do not count.

    :param error: the exception, with its traceback.
    """
    modules = []
    traceback = error.__traceback__
    while traceback is not None:
        modules.append(str(traceback.tb_frame.f_globals.get("__name__", "")))
        traceback = traceback.tb_next
    for module in reversed(modules):
        if module.partition(".")[0] == CORE_PACKAGE:
            return None
        if plugin := find_plugin_of_module(module):
            return plugin
    return None


def find_plugin_of_module(module: str) -> InstalledPlugin | None:
    """Return an installed plugin whose package has a module; None if none has.

    :param module: the module's full name.
    """
    package = module.partition(".")[0]
    for group in (BACKENDS, WRAPPERS, COMMANDS, RUNNERS):
        for plugin in installed_plugins(group):
            if plugin.target.partition(":")[0].partition(".")[0] == package:
                return plugin
    return None
