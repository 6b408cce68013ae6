"""Find backends, wrappers, commands and runners by their entry points, and load one by name.

Listing imports no plugin, and loading imports only one. The errors distinguish a plugin that is not
installed, lacks a dependency, is broken, or was written for another contract.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from importlib_metadata import EntryPoint, distributions, entry_points

from autocog_core.config.backend_names import BACKEND_ALIASES, BackendAlias
from autocog_core.errors import (
    AUTHOR_HINT,
    AutocogError,
    PluginBrokenError,
    PluginConflictError,
    PluginContractError,
    PluginDependencyError,
    PluginError,
    PluginNotInstalledError,
    did_you_mean,
)

#: Groups of entry points.
BACKENDS = "autocog"
WRAPPERS = "autocog.wrappers"
COMMANDS = "autocog.commands"
RUNNERS = "autocog.runners"
#: The version of the contract of runners (`autocog_core.runners.Runner`).
RUNNER_CONTRACT = 1

DISABLE_VARIABLE = "AUTOCOG_DISABLE_PLUGINS"
#: Plugins of this project, and their distributions.
FIRST_PARTY_PLUGINS = {
    BACKENDS: {"tf": "autocog-tf", "llamacpp": "autocog-llamacpp", "openai": "autocog-openai"},
    WRAPPERS: {},
    COMMANDS: {"gguf": "autocog-llamacpp"},
    RUNNERS: {"ray": "autocog-ray"},
}
#: What the plugins of each group are called.
KINDS = {BACKENDS: "backend", WRAPPERS: "wrapper", COMMANDS: "command", RUNNERS: "runner"}


@dataclass(frozen=True, slots=True)
class InstalledPlugin:
    """A plugin, from its distribution's metadata; it may not be imported yet.

    :ivar name: the name of the entry point.
    :ivar distribution: the distribution that provides it.
    :ivar version: the distribution's version.
    :ivar target: the module and object of the entry point.
    :ivar entry_point: the entry point itself.
    """

    name: str
    distribution: str
    version: str
    target: str
    entry_point: EntryPoint


def installed_plugins(group: str = BACKENDS) -> list[InstalledPlugin]:
    """Return the installed plugins of a group, sorted by name, without disabled ones.

    :param group: a group of entry points.
    """
    disabled = disabled_plugins()
    by_identity = {
        # One distribution may appear twice, for example if sys.path has its folder twice.
        (point.name, _distribution(point), point.value): InstalledPlugin(
            point.name, _distribution(point), _version(point), point.value, point
        )
        for point in _entry_points(group)
        if point.name not in disabled
    }
    return sorted(by_identity.values(), key=lambda plugin: (plugin.name, plugin.distribution))


def load_class(name: str, group: str = BACKENDS) -> type[Any]:
    """Import one plugin, and check its class against the contract.

    :param name: the plugin's name.
    :param group: its group of entry points.
    :raises PluginNotInstalledError, PluginDependencyError, PluginBrokenError, PluginContractError,
        PluginConflictError: if it cannot be used; the hint says how to fix it.
    """
    plugin = find_installed(name, group)
    plugin_class: type[Any] = load_target(plugin)
    _check_class(plugin_class, plugin)
    return plugin_class


def load_target(plugin: InstalledPlugin) -> Any:
    """Import the object that a plugin's entry point names, without checking it.

    :param plugin: the plugin.
    :raises PluginDependencyError, PluginBrokenError: if the import fails; the hint is a command
        that fixes it.
    """
    try:
        return plugin.entry_point.load()
    except AutocogError:
        raise
    except ModuleNotFoundError as error:
        raise diagnose_import_error(error, plugin) from error
    except (Exception, SystemExit) as error:
        # Without SystemExit, a module that exits would end the command without a message.
        raise PluginBrokenError(
            f"fails at import: {type(error).__name__}: {error}",
            where=plugin_label(plugin),
            hint=reinstall_command(plugin),
        ) from error


def plugin_label(plugin: InstalledPlugin) -> str:
    """Return kind, name and distribution of a plugin, for the `where` of an error.

    :param plugin: the plugin.
    """
    kind = KINDS[plugin.entry_point.group]
    return f'{kind} "{plugin.name}" ({plugin.distribution} {plugin.version})'


def reinstall_command(plugin: InstalledPlugin) -> str:
    """Return the command that repairs a plugin's distribution.

    :param plugin: the plugin.
    """
    return f"pip install --upgrade --force-reinstall {plugin.distribution}"


def diagnose_import_error(error: ModuleNotFoundError, plugin: InstalledPlugin) -> PluginError:
    """Return the error for a failed import: of the plugin's own module, or of a dependency.

    :param error: the error of the import.
    :param plugin: the plugin that imports the module.
    """
    missing = (error.name or "").partition(".")[0]
    package = plugin.target.partition(":")[0].partition(".")[0]
    where = plugin_label(plugin)
    if missing and missing != package:
        return PluginDependencyError(
            f'the module "{missing}" that it needs is not installed',
            where=where,
            hint=f"pip install {plugin.distribution} (installs its dependencies, too)",
        )
    return PluginBrokenError(
        f"its module cannot be imported: {error}",
        where=where,
        hint=reinstall_command(plugin),
    )


def find_installed(name: str, group: str = BACKENDS) -> InstalledPlugin:
    """Return the installed plugin of a name.

    :param name: the plugin's name, or an alias of a backend (`BACKEND_ALIASES`).
    :param group: its group of entry points.
    :raises PluginNotInstalledError: if there is none.
    :raises PluginConflictError: if there are two.
    """
    if group == BACKENDS and (alias := find_alias(name)) is not None:
        return _find_aliased(name, alias)
    where = f'{KINDS[group]} "{name}"'
    if name in disabled_plugins():
        raise PluginNotInstalledError(
            f"it is disabled by {DISABLE_VARIABLE}",
            where=where,
            hint=f"remove it from {DISABLE_VARIABLE}",
        )
    plugins = installed_plugins(group)
    matching = [plugin for plugin in plugins if plugin.name == name]
    if not matching:
        # Only known distributions: any project may have registered another name.
        known = FIRST_PARTY_PLUGINS[group].get(name)
        aliases = BACKEND_ALIASES if group == BACKENDS else ()
        ours = FIRST_PARTY_PLUGINS[group] if group == RUNNERS else ()
        near = did_you_mean(name, {*(plugin.name for plugin in plugins), *aliases, *ours})
        raise PluginNotInstalledError(
            "no installed distribution provides it",
            where=where,
            hint=f"pip install {known}" if known else near,
        )
    if len(matching) > 1:
        both = " and ".join(f"{plugin.distribution} {plugin.version}" for plugin in matching)
        raise PluginConflictError(
            f"{both} both provide it",
            where=where,
            hint=f"pip uninstall {_removable(matching).distribution} (or the other one)",
        )
    return matching[0]


def find_alias(name: str) -> BackendAlias | None:
    """Return what a name of a backend stands for; None for the name of a backend itself.

    :param name: a name from a user.
    """
    alias = BACKEND_ALIASES.get(name.lower())
    if alias is None or any(point.name == name for point in _entry_points(BACKENDS)):
        return None
    return alias


def backend_name(name: str) -> str:
    """Return the name of the backend that a user means.

    :param name: its name, or an alias.
    """
    alias = find_alias(name)
    return name if alias is None else alias.backend


def _find_aliased(name: str, alias: BackendAlias) -> InstalledPlugin:
    try:
        return find_installed(alias.backend)
    except PluginNotInstalledError as error:
        kind = "a server: autocog's" if alias.base_url else "autocog's"
        raise PluginNotInstalledError(
            f'{alias.title} is {kind} backend "{alias.backend}", and {error.message}',
            where=f'backend "{name}"',
            hint=error.hint,
        ) from error


def _removable(plugins: list[InstalledPlugin]) -> InstalledPlugin:
    """The plugin to remove: the last one that is not of this project, if there is one."""
    ours = {"autocog-core"}.union(*(names.values() for names in FIRST_PARTY_PLUGINS.values()))
    return ([plugin for plugin in plugins if plugin.distribution not in ours] or plugins)[-1]


def is_plugin_name(name: str, group: str) -> bool:
    """Return whether `name` is a plugin of this project, or an installed one, even if disabled.

    :param name: the name in question.
    :param group: a group of entry points.
    """
    return name in FIRST_PARTY_PLUGINS[group] or any(
        point.name == name for point in _entry_points(group)
    )


def name_of_backend(backend: type[Any]) -> str:
    """Return the name of an installed backend; the name of the class for one that is not installed.

    :param backend: the backend's class.
    """
    target = f"{backend.__module__}:{backend.__qualname__}"
    names = (point.name for point in _entry_points(BACKENDS) if point.value == target)
    return next(names, backend.__name__)


def backends_with_hook(hook: str) -> list[str]:
    """Return the names of installed backends that implement a hook and can be loaded.

    :param hook: the hook's name.
    """
    names = (plugin.name for plugin in installed_plugins())
    return [name for name in names if hook in _implemented_hooks(name, tuple(sys.path))]


@cache
def _implemented_hooks(name: str, path: tuple[str, ...]) -> frozenset[str]:
    """The hooks of a backend; none if it cannot be loaded.

    :param path: `sys.path`, as part of the cache's key, because tests change it.
    """
    from autocog_core.hooks.manager import hooks_of

    try:
        return frozenset(hooks_of(load_class(name)))
    except AutocogError:
        return frozenset()


def _check_class(loaded: object, plugin: InstalledPlugin) -> None:
    from autocog_core.hooks.specs import CONTRACT_VERSION

    where = plugin_label(plugin)
    contract = getattr(loaded, "contract", None)
    supported = RUNNER_CONTRACT if plugin.entry_point.group == RUNNERS else CONTRACT_VERSION
    if contract != supported:
        if contract is None:
            raise PluginBrokenError(
                f"{plugin.target} declares no `contract` version", where=where, hint=AUTHOR_HINT
            )
        older = isinstance(contract, int) and contract < supported
        raise PluginContractError(
            f"it was written for contract {contract}, but this core supports {supported}",
            where=where,
            hint=f"pip install --upgrade {plugin.distribution if older else 'autocog-core'}",
        )
    required: dict[str, Callable[[Any], bool]] = {"Options": lambda value: isinstance(value, type)}
    if plugin.entry_point.group == BACKENDS:
        required["create"] = callable
    for name, check in required.items():
        if not check(getattr(loaded, name, None)):
            raise PluginBrokenError(
                f"{plugin.target} has no usable `{name}`", where=where, hint=AUTHOR_HINT
            )


def _entry_points(group: str) -> list[EntryPoint]:
    """The entry points of a group, without those of distributions with unreadable metadata."""
    try:
        points = list(entry_points(group=group))
    except Exception:  # noqa: BLE001 - damaged files raise all kinds of errors
        # One damaged distribution, such as the rest of an upgrade, must not hide the others.
        points = [point for other in distributions() for point in _entry_points_of(other, group)]
    return [point for point in points if _has_metadata(point)]


def _entry_points_of(distribution: Any, group: str) -> list[EntryPoint]:
    try:
        return list(distribution.entry_points.select(group=group))
    except Exception:  # noqa: BLE001 - `autocog doctor` reports it
        return []


def _has_metadata(point: EntryPoint) -> bool:
    """Whether its distribution has a name and a version."""
    try:
        return bool(_distribution(point) and _version(point))
    except Exception:  # noqa: BLE001
        return False


def disabled_plugins() -> set[str]:
    """Return the names in `AUTOCOG_DISABLE_PLUGINS`."""
    value = os.environ.get(DISABLE_VARIABLE, "")
    return {name.strip() for name in value.split(",") if name.strip()}


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "unknown"


def _version(point: EntryPoint) -> str:
    return point.dist.version if point.dist is not None else "unknown"
