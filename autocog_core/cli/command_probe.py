"""In a process of its own: import one plugin that adds commands, and tell what it is.

python -m autocog_core.cli.command_probe NAME
"""

from __future__ import annotations

import sys

from autocog_core.cli.main import app
from autocog_core.cli.plugin_commands import load_command
from autocog_core.config import plugins
from autocog_core.doctor.child import ProbeChannel
from autocog_core.doctor.plugin_probe import import_plugin, run_probe
from autocog_core.errors import PluginConflictError


def main() -> None:
    """Tell import time of a plugin with commands, or what is wrong with it."""
    name = sys.argv[-1]
    run_probe(name, lambda tell: _probe_command(name, tell))


def _probe_command(name: str, tell: ProbeChannel) -> None:
    plugin = plugins.find_installed(name, plugins.COMMANDS)
    import_plugin(plugin, tell)
    load_command(name)
    own = {command.callback.__name__ for command in app.registered_commands if command.callback}
    if name in own:
        raise PluginConflictError(
            f"autocog has a command {name} of its own, which keeps the name",
            where=plugins.plugin_label(plugin),
            hint="tell its authors",
        )


if __name__ == "__main__":
    main()
