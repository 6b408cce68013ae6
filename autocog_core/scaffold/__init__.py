"""What `autocog init` and `autocog new-plugin` write: a first project, and a backend's package."""

from __future__ import annotations

from autocog_core.scaffold.package import write_package
from autocog_core.scaffold.plugin_name import PluginName
from autocog_core.scaffold.project import PROGRAM, ROWS, write_project

__all__ = ["PROGRAM", "ROWS", "PluginName", "write_package", "write_project"]
