"""`autocog new-plugin`: a backend's package to begin with, which installs and passes at once."""

from __future__ import annotations

from autocog_core.scaffold.naming import PluginName
from autocog_core.scaffold.writing import write_package

__all__ = ["PluginName", "write_package"]
