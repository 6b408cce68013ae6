"""In a process of its own: import one backend or wrapper, and tell what it is.

python -m autocog_core.doctor.plugin_probe GROUP NAME
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from autocog_core.config import plugins
from autocog_core.doctor.child import ProbeChannel
from autocog_core.doctor.problem import Problem
from autocog_core.doctor.secrecy import conceal_all
from autocog_core.hooks.manager import hooks_of, new_manager, register


def main() -> None:
    """Tell contract, hooks and import time of a backend or wrapper, or what is wrong with it."""
    group, name = sys.argv[1:]
    run_probe(name, lambda tell: _probe_class(name, group, tell))


def run_probe(name: str, probe: Callable[[ProbeChannel], None]) -> None:
    """Tell what `probe` finds, or what is wrong with the plugin."""
    tell = ProbeChannel()
    conceal_all(None)
    try:
        probe(tell)
    except Exception as error:  # noqa: BLE001 - whatever a plugin raises is an answer
        problem = Problem.of(error, f'"{name}"')
        tell(what=problem.what, fix=problem.fix)
    tell(done=True)


def _probe_class(name: str, group: str, tell: ProbeChannel) -> None:
    loaded = import_plugin(plugins.find_installed(name, group), tell)
    contract = getattr(loaded, "contract", None)
    tell(contract=contract if isinstance(contract, int) else None)
    if isinstance(loaded, type):
        tell(hooks=hooks_of(loaded))
    loaded = plugins.load_class(name, group)
    # As a model would register an instance: misspelt hooks and wrong parameters are found.
    register(new_manager(), loaded, name)


def import_plugin(plugin: plugins.InstalledPlugin, tell: ProbeChannel) -> Any:
    """Import a plugin, and tell how long that took."""
    began = time.perf_counter()
    loaded = plugins.load_target(plugin)
    tell(import_seconds=time.perf_counter() - began)
    return loaded


if __name__ == "__main__":
    main()
