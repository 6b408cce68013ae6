"""In a process of its own: import one plugin, and tell what it is.

python -m autocog_core.doctor.plugin_probe GROUP NAME
"""

from __future__ import annotations

import sys
import time
from typing import Any

from autocog_core import plugins
from autocog_core.doctor.problem import Problem
from autocog_core.doctor.secrecy import conceal_all
from autocog_core.doctor.telling import Teller
from autocog_core.errors import PluginConflictError


def main() -> None:
    """Tell contract, hooks and import time of a plugin, or what is wrong with it."""
    tell = Teller()
    group, name = sys.argv[1:]
    conceal_all(None)
    try:
        if group == plugins.COMMANDS:
            _probe_command(name, tell)
        else:
            _probe_class(name, group, tell)
    except Exception as error:  # noqa: BLE001 - whatever a plugin raises is an answer
        problem = Problem.of(error, f'"{name}"')
        tell(what=problem.what, mend=problem.mend)
    tell(done=True)


def _probe_class(name: str, group: str, tell: Teller) -> None:
    loaded = _import(plugins.find_installed(name, group), tell)
    contract = getattr(loaded, "contract", None)
    tell(contract=contract if isinstance(contract, int) else None)
    if isinstance(loaded, type):
        tell(hooks=plugins.hooks_of(loaded))
    loaded = plugins.load_class(name, group)
    # As a model would register an instance: misspelt hooks and wrong parameters are found.
    plugins.register(plugins.new_manager(), loaded, name)


def _probe_command(name: str, tell: Teller) -> None:
    # What every command line imports is not counted as the plugin's.
    from autocog_core.cli.main import app
    from autocog_core.cli.plugin_commands import load_command

    plugin = plugins.find_installed(name, plugins.COMMANDS)
    _import(plugin, tell)
    load_command(name)
    own = {command.callback.__name__ for command in app.registered_commands if command.callback}
    if name in own:
        raise PluginConflictError(
            f"autocog has a command {name} of its own, which keeps the name",
            where=plugins.described(plugin),
            hint="tell its authors",
        )


def _import(plugin: plugins.InstalledPlugin, tell: Teller) -> Any:
    began = time.perf_counter()
    loaded = plugins.load_target(plugin)
    tell(import_seconds=time.perf_counter() - began)
    return loaded


if __name__ == "__main__":
    main()
