"""Finding backends, wrappers and commands by entry point, and loading one by name.

Listing imports nothing. Loading imports only the plugin asked for, and tells apart: not installed,
a dependency missing, broken, written for another contract.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from importlib_metadata import EntryPoint, distributions, entry_points

from autocog_core.errors import (
    AutocogError,
    PluginBrokenError,
    PluginConflictError,
    PluginContractError,
    PluginDependencyError,
    PluginError,
    PluginNotInstalledError,
    did_you_mean,
)
from autocog_core.hooks.manager import hooks_of
from autocog_core.hooks.specs import CONTRACT_VERSION

BACKENDS = "autocog"


WRAPPERS = "autocog.wrappers"


COMMANDS = "autocog.commands"


DISABLE_VARIABLE = "AUTOCOG_DISABLE_PLUGINS"


#: Plugins of this project, and the distributions that bring them.
FIRST_PARTY_PLUGINS = {
    BACKENDS: {"tf": "autocog-tf", "llamacpp": "autocog-llamacpp", "openai": "autocog-openai"},
    WRAPPERS: {},
    COMMANDS: {"gguf": "autocog-llamacpp"},
}


_KINDS = {BACKENDS: "backend", WRAPPERS: "wrapper", COMMANDS: "command"}


@dataclass(frozen=True, slots=True)
class InstalledPlugin:
    """A plugin as its distribution's metadata tells it; nothing was imported for this."""

    name: str
    distribution: str
    version: str
    target: str
    entry_point: EntryPoint


def installed_plugins(group: str = BACKENDS) -> list[InstalledPlugin]:
    """Every installed plugin of a group, sorted by name; those disabled are left out."""
    blocked = _disabled()
    found = {
        # The same distribution can be seen twice, for example through two entries of sys.path.
        (point.name, _distribution(point), point.value): InstalledPlugin(
            point.name, _distribution(point), _version(point), point.value, point
        )
        for point in _entry_points(group)
        if point.name not in blocked
    }
    return sorted(found.values(), key=lambda plugin: (plugin.name, plugin.distribution))


def load_class(name: str, group: str = BACKENDS) -> type[Any]:
    """Import the plugin `name`, and nothing else, and check it against the contract.

    :raises PluginNotInstalledError, PluginDependencyError, PluginBrokenError, PluginContractError,
        PluginConflictError: each says which command mends it.
    """
    plugin = find_installed(name, group)
    loaded = load_target(plugin)
    _check_class(loaded, plugin, plugin_label(plugin))
    found: type[Any] = loaded
    return found


def load_target(plugin: InstalledPlugin) -> Any:
    """What the entry point of `plugin` names: imported now, not checked.

    :raises PluginDependencyError, PluginBrokenError: each says which command mends it.
    """
    try:
        return plugin.entry_point.load()
    except AutocogError:
        raise
    except ModuleNotFoundError as error:
        kind = f'{_KINDS[plugin.entry_point.group]} "{plugin.name}"'
        raise import_failure(error, plugin, kind) from error
    except (Exception, SystemExit) as error:
        # A module that exits would end the command without a word.
        raise PluginBrokenError(
            f"fails at import: {type(error).__name__}: {error}",
            where=plugin_label(plugin),
            hint=f"pip install --upgrade --force-reinstall {plugin.distribution}",
        ) from error


def plugin_label(plugin: InstalledPlugin) -> str:
    """Kind, name and distribution, as the `where` of an error."""
    kind = _KINDS[plugin.entry_point.group]
    return f'{kind} "{plugin.name}" ({plugin.distribution} {plugin.version})'


def import_failure(error: ModuleNotFoundError, plugin: InstalledPlugin, kind: str) -> PluginError:
    """What a failed import inside a plugin means: its own module gone, or a dependency missing."""
    missing = (error.name or "").partition(".")[0]
    own = plugin.target.partition(":")[0].partition(".")[0]
    where = f"{kind} ({plugin.distribution} {plugin.version})"
    if missing and missing != own:
        return PluginDependencyError(
            f'it is installed, but the module "{missing}" that it needs is not',
            where=where,
            hint=f"pip install {plugin.distribution} (it brings what it needs)",
        )
    return PluginBrokenError(
        f"its module cannot be imported: {error}",
        where=where,
        hint=f"pip install --upgrade --force-reinstall {plugin.distribution}",
    )


def find_installed(name: str, group: str = BACKENDS) -> InstalledPlugin:
    """The installed plugin of that name.

    :raises PluginNotInstalledError: if there is none. PluginConflictError: if there are two.
    """
    kind = _KINDS[group]
    if name in _disabled():
        raise PluginNotInstalledError(
            f"it is disabled by {DISABLE_VARIABLE}",
            where=f'{kind} "{name}"',
            hint=f"take it out of {DISABLE_VARIABLE}",
        )
    plugins = installed_plugins(group)
    matching = [plugin for plugin in plugins if plugin.name == name]
    if not matching:
        near = did_you_mean(name, [plugin.name for plugin in plugins])
        # Only names of our own: anybody could have registered another one.
        command = (
            f"pip install {FIRST_PARTY_PLUGINS[group][name]}"
            if name in FIRST_PARTY_PLUGINS[group]
            else ""
        )
        raise PluginNotInstalledError(
            "no installed distribution offers it",
            where=f'{kind} "{name}"',
            hint=command or near,
        )
    if len(matching) > 1:
        both = " and ".join(f"{plugin.distribution} {plugin.version}" for plugin in matching)
        raise PluginConflictError(
            f"{both} both offer it",
            where=f'{kind} "{name}"',
            hint=f"pip uninstall {_foreign(matching).distribution} (or the other one)",
        )
    return matching[0]


def _foreign(plugins: list[InstalledPlugin]) -> InstalledPlugin:
    """The last of them that is none of this project's, if there is one."""
    own = {"autocog-core"}.union(*(names.values() for names in FIRST_PARTY_PLUGINS.values()))
    return ([plugin for plugin in plugins if plugin.distribution not in own] or plugins)[-1]


def is_plugin_name(name: str, group: str) -> bool:
    """Whether `name` means a plugin: one that is installed, if disabled, or one of this project."""
    return name in FIRST_PARTY_PLUGINS[group] or any(
        point.name == name for point in _entry_points(group)
    )


def backends_with_hook(hook: str) -> list[str]:
    """Names of the installed backends that load and implement `hook`."""
    names = (plugin.name for plugin in installed_plugins())
    return [name for name in names if hook in _hooks_offered(name, tuple(sys.path))]


@cache
def _hooks_offered(name: str, path: tuple[str, ...]) -> frozenset[str]:
    """Hooks of an installed backend; none if it does not load. Asked for on every missing hook.

    :param path: where it is found, which tests change.
    """
    try:
        return frozenset(hooks_of(load_class(name)))
    except AutocogError:
        return frozenset()


def _check_class(loaded: object, plugin: InstalledPlugin, where: str) -> None:
    contract = getattr(loaded, "contract", None)
    if contract != CONTRACT_VERSION:
        if contract is None:
            raise PluginBrokenError(
                f"{plugin.target} declares no `contract` version",
                where=where,
                hint="tell its authors",
            )
        older = isinstance(contract, int) and contract < CONTRACT_VERSION
        raise PluginContractError(
            f"it was written for contract {contract}, this core speaks {CONTRACT_VERSION}",
            where=where,
            hint=f"pip install --upgrade {plugin.distribution if older else 'autocog-core'}",
        )
    required: dict[str, Callable[[Any], bool]] = {"Options": lambda value: isinstance(value, type)}
    if plugin.entry_point.group == BACKENDS:
        required["create"] = callable
    for name, check in required.items():
        if not check(getattr(loaded, name, None)):
            raise PluginBrokenError(
                f"{plugin.target} has no usable `{name}`", where=where, hint="tell its authors"
            )


def _entry_points(group: str) -> list[EntryPoint]:
    """Entry points of a group; a distribution whose metadata cannot be read has none."""
    try:
        found = list(entry_points(group=group))
    except Exception:  # noqa: BLE001 - whatever is wrong with one is no fault of the others
        # One that is damaged, an upgrade's remains say, would hide them all.
        found = [point for each in distributions() for point in _entry_points_of(each, group)]
    return [point for point in found if _has_metadata(point)]


def _entry_points_of(distribution: Any, group: str) -> list[EntryPoint]:
    try:
        return list(distribution.entry_points.select(group=group))
    except Exception:  # noqa: BLE001 - `autocog doctor` tells what is wrong with it
        return []


def _has_metadata(point: EntryPoint) -> bool:
    """Whether its distribution tells name and version."""
    try:
        return bool(_distribution(point) and _version(point))
    except Exception:  # noqa: BLE001
        return False


def _disabled() -> set[str]:
    value = os.environ.get(DISABLE_VARIABLE, "")
    return {name.strip() for name in value.split(",") if name.strip()}


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "unknown"


def _version(point: EntryPoint) -> str:
    return point.dist.version if point.dist is not None else "unknown"
