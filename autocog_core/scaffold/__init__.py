"""`autocog new-plugin`: the package of a new backend, which installs and passes its tests."""

from __future__ import annotations

from autocog_core.scaffold.package import write_package
from autocog_core.scaffold.plugin_name import PluginName

__all__ = ["PluginName", "write_package"]
