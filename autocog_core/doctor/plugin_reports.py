"""What every installed plugin is, and whether it loads; none is imported in this process."""

from __future__ import annotations

from dataclasses import dataclass

from autocog_core import plugins
from autocog_core.doctor.child import ask
from autocog_core.doctor.problem import Problem
from autocog_core.errors import PluginConflictError

GROUPS = {plugins.BACKENDS: "backend", plugins.WRAPPERS: "wrapper", plugins.COMMANDS: "command"}


@dataclass(frozen=True, slots=True)
class PluginReport:
    """One installed plugin.

    :ivar kind: "backend", "wrapper" or "command".
    :ivar target: the module and object that its entry point names.
    :ivar contract: the contract that it was written for; None where it tells none (commands).
    :ivar import_seconds: how long its import took, beyond what core itself imports.
    :ivar problem: why it does not load; None if it does.
    """

    kind: str
    name: str
    distribution: str
    version: str
    target: str
    contract: int | None = None
    hooks: tuple[str, ...] = ()
    import_seconds: float | None = None
    problem: Problem | None = None


def examine_plugin(plugin: plugins.InstalledPlugin, timeout: float) -> PluginReport:
    """Import one plugin in a process of its own, for at most `timeout` seconds."""
    group = plugin.entry_point.group
    identity = (GROUPS[group], plugin.name, plugin.distribution, plugin.version, plugin.target)
    try:
        plugins.find_installed(plugin.name, group)
    except PluginConflictError as error:
        return PluginReport(*identity, problem=Problem.of(error, f'"{plugin.name}"'))
    answer = ask("autocog_core.doctor.plugin_probe", [group, plugin.name], timeout)
    told = answer.told
    problem = None
    if answer.fault:
        again = f"pip install --upgrade --force-reinstall {plugin.distribution}"
        when = "after its import" if "import_seconds" in told else "at import"
        problem = Problem(f"{when} {answer.fault}", again)
    elif "what" in told:
        problem = Problem(told["what"], told["mend"])
    return PluginReport(
        *identity,
        contract=told.get("contract"),
        hooks=tuple(told.get("hooks", ())),
        import_seconds=told.get("import_seconds"),
        problem=problem,
    )
