"""What `autocog init` and `autocog new-plugin` write: a first project, a plugin's package."""

from __future__ import annotations

from autocog_core.scaffold.package import write_package
from autocog_core.scaffold.plugin_kind import PLUGIN_KINDS, PluginKind
from autocog_core.scaffold.plugin_name import PluginName
from autocog_core.scaffold.project import PROGRAM, ROWS, write_project

__all__ = [
    "PLUGIN_KINDS",
    "PROGRAM",
    "ROWS",
    "PluginKind",
    "PluginName",
    "write_package",
    "write_project",
]
