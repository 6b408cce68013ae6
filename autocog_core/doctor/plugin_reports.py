"""What every installed plugin is, and whether it loads; none is imported in this process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from importlib_metadata import distributions

from autocog_core.config import plugins
from autocog_core.doctor.child import ask
from autocog_core.doctor.problem import Problem
from autocog_core.errors import PluginConflictError

#: A module name, for commands are the command line's, which stands above this package.
COMMAND_PROBE = "autocog_core.cli.command_probe"

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
    probe = COMMAND_PROBE if group == plugins.COMMANDS else "autocog_core.doctor.plugin_probe"
    answer = ask(probe, [group, plugin.name], timeout)
    told = answer.told
    problem = None
    if answer.fault:
        again = f"pip install --upgrade --force-reinstall {plugin.distribution}"
        when = "after its import" if "import_seconds" in told else "at import"
        problem = Problem(f"{when} {answer.fault}", again)
    elif "what" in told:
        problem = Problem(told["what"], told["fix"])
    return PluginReport(
        *identity,
        contract=told.get("contract"),
        hooks=tuple(told.get("hooks", ())),
        import_seconds=told.get("import_seconds"),
        problem=problem,
    )


ENTRY_POINTS = "entry_points.txt"


@dataclass(frozen=True, slots=True)
class UnreadableDistribution:
    """A distribution with unreadable metadata.

    :ivar folder: where its metadata are.
    :ivar stops_all: nothing that looks for plugins starts while it is there. (pydantic looks for
        its own when it is imported.)
    """

    folder: str
    problem: Problem
    stops_all: bool


def damaged_distributions() -> list[UnreadableDistribution]:
    """Distributions with plugins that nobody finds; often what an upgrade left behind."""
    found = []
    for distribution in distributions():
        what = _fault(distribution)
        if what:
            # The only way to its folder, which has no public name.
            folder = str(getattr(distribution, "_path", "a distribution"))
            mend = f"delete {folder}, or install its distribution again"
            found.append(UnreadableDistribution(folder, Problem(what, mend), ENTRY_POINTS in what))
    return found


def _fault(distribution: Any) -> str:
    reading = ENTRY_POINTS
    try:
        ours = [point for point in distribution.entry_points if point.group in GROUPS]
        reading = "METADATA"
        if ours and not (distribution.name and distribution.version):
            return "its METADATA lacks the name or the version"
    except Exception as error:  # noqa: BLE001 - whatever cannot be read is damage
        return f"its {reading} cannot be read: {type(error).__name__}: {error}"
    return ""
