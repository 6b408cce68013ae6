"""The doctor's check of one command plugin, in a child process: see `run_probe`."""

from __future__ import annotations

from autocog_core.cli.core_commands import CORE_COMMANDS
from autocog_core.cli.plugin_commands import load_command
from autocog_core.config import plugins
from autocog_core.doctor.plugin_probe import import_plugin
from autocog_core.doctor.probe import ProbeChannel
from autocog_core.errors import AUTHOR_HINT, PluginConflictError


def probe_command(channel: ProbeChannel, group: str, name: str) -> None:
    """Import a plugin's command, and report its import time."""
    import_plugin(channel, group, name)
    load_command(name)
    if name in CORE_COMMANDS:
        raise PluginConflictError(
            f'autocog has its own command "{name}", which hides this one',
            where=plugins.plugin_label(plugins.find_installed(name, group)),
            hint=AUTHOR_HINT,
        )
