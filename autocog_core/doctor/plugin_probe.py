"""The check of one backend or wrapper, in a child process: see `run_probe`."""

from __future__ import annotations

import time
from typing import Any

from autocog_core.config import plugins
from autocog_core.doctor.probe import ProbeChannel
from autocog_core.hooks.manager import hooks_of, new_manager, register


def probe_class(channel: ProbeChannel, group: str, name: str) -> None:
    """Import a backend or wrapper, and report its import time, contract and hooks."""
    plugin_class = import_plugin(channel, group, name)
    contract = getattr(plugin_class, "contract", None)
    channel.report(contract=contract if isinstance(contract, int) else None)
    if isinstance(plugin_class, type):
        channel.report(hooks=hooks_of(plugin_class))
    # As a model registers an instance: this finds misspelled hooks and wrong parameters.
    register(new_manager(), plugins.load_class(name, group), name)


def import_plugin(channel: ProbeChannel, group: str, name: str) -> Any:
    """Import a plugin, and report how long that took."""
    plugin = plugins.find_installed(name, group)
    channel.report(step="importing the plugin")
    start = time.perf_counter()
    target = plugins.load_target(plugin)
    channel.report(step="checking the plugin", import_seconds=time.perf_counter() - start)
    return target
