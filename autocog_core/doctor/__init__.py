"""Checks of what is installed and configured: `autocog doctor`.

Each plugin is imported, and each model loaded, in a child process. If that process hangs or
crashes, the report says so. This package collects the report, and `autocog_core.cli` prints it.

    from autocog_core.doctor import examine

    diagnosis = examine(load=False)
    print(diagnosis.works, diagnosis.to_dict())
"""

from __future__ import annotations

from autocog_core.doctor.config_report import ConfigLocation, ConfigReport
from autocog_core.doctor.diagnosis import Diagnosis, examine
from autocog_core.doctor.environment import Environment
from autocog_core.doctor.model_reports import ModelReport
from autocog_core.doctor.plugin_reports import PluginReport, UnreadableDistribution
from autocog_core.doctor.problem import Problem

__all__ = [
    "ConfigLocation",
    "ConfigReport",
    "Diagnosis",
    "Environment",
    "ModelReport",
    "PluginReport",
    "Problem",
    "UnreadableDistribution",
    "examine",
]
