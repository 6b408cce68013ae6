"""What is installed and configured, whether it works, and what mends it: `autocog doctor`.

Plugins are imported, and models loaded, each in a process of its own: what hangs or crashes there
is a line of the report. Gathering stands here, printing in `autocog_core.cli`.

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
