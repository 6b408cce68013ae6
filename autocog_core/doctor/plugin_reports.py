"""Reports on installed plugins. None is imported in this process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from importlib_metadata import distributions

from autocog_core.config import plugins
from autocog_core.doctor.probe import run_probe
from autocog_core.doctor.problem import Problem
from autocog_core.errors import PluginConflictError

CLASS_PROBE = "autocog_core.doctor.plugin_probe:probe_class"
#: Only a name, because the command line is a layer above this package.
COMMAND_PROBE = "autocog_core.cli.command_probe:probe_command"


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginReport:
    """One installed plugin.

    :ivar kind: "backend", "wrapper" or "command".
    :ivar name: the name of its entry point.
    :ivar distribution: the distribution that provides it.
    :ivar version: the distribution's version.
    :ivar target: the module and object of its entry point.
    :ivar contract: the contract version that it was written for; None for commands.
    :ivar hooks: the hooks that it implements.
    :ivar import_seconds: its import time, without the modules that core itself imports.
    :ivar problem: why it does not work; None if it does.
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
    """Import and check one plugin in a child process.

    :param timeout: the time limit in seconds.
    """
    group = plugin.entry_point.group
    report = PluginReport(
        kind=plugins.KINDS[group],
        name=plugin.name,
        distribution=plugin.distribution,
        version=plugin.version,
        target=plugin.target,
    )
    try:
        plugins.find_installed(plugin.name, group)
    except PluginConflictError as error:
        return replace(report, problem=Problem.from_error(error))
    result = run_probe(
        COMMAND_PROBE if group == plugins.COMMANDS else CLASS_PROBE,
        [group, plugin.name],
        timeout=timeout,
        fix=plugins.reinstall_command(plugin),
    )
    facts = {**result.facts, "hooks": tuple(result.facts.get("hooks", ()))}
    return replace(report, problem=result.problem, **facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableDistribution:
    """A distribution with unreadable metadata, whose plugins autocog cannot find.

    :ivar folder: the folder with the metadata.
    :ivar problem: what is wrong with them.
    :ivar blocks_plugins: no program that looks for plugins starts. (pydantic looks for its own
        plugins when it is imported.)
    """

    folder: str
    problem: Problem
    blocks_plugins: bool


def find_unreadable_distributions() -> Iterator[UnreadableDistribution]:
    """Yield the distributions with unreadable metadata. Often an upgrade left them behind."""
    for distribution in distributions():
        file, message = _check_metadata(distribution)
        if message:
            # No public attribute has the folder.
            folder = str(getattr(distribution, "_path", "a distribution"))
            fix = f"delete {folder}, or install its distribution again"
            yield UnreadableDistribution(
                folder=folder,
                problem=Problem(message=message, fix=fix),
                blocks_plugins=file == "entry_points.txt",
            )


def _check_metadata(distribution: Any) -> tuple[str, str]:
    """Return the first unreadable file of a distribution, and what is wrong with it."""
    file = "entry_points.txt"
    try:
        has_plugins = any(point.group in plugins.KINDS for point in distribution.entry_points)
        file = "METADATA"
        if has_plugins and not (distribution.name and distribution.version):
            return file, "its METADATA lacks the name or the version"
    except Exception as error:  # noqa: BLE001 - damaged files raise all kinds of errors
        return file, f"its {file} cannot be read: {type(error).__name__}: {error}"
    return "", ""
