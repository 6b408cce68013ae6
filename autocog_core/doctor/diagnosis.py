"""The whole examination, one step after the other, so that the times are true."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from autocog_core.config import plugins
from autocog_core.config.config_file import Config
from autocog_core.doctor.config_report import ConfigReport, examine_config
from autocog_core.doctor.environment import Environment, examine_environment
from autocog_core.doctor.model_reports import ModelReport, examine_model
from autocog_core.doctor.plugin_reports import (
    GROUPS,
    PluginReport,
    UnreadableDistribution,
    damaged_distributions,
    examine_plugin,
)
from autocog_core.doctor.problem import plain
from autocog_core.doctor.secrecy import conceal_all
from autocog_core.errors import UsageError

#: The form of `Diagnosis.to_dict`; without a key, or with another meaning of one, it is the next.
SCHEMA = 1
#: Called with how much is done, how much there is, and what is looked at now.
Watch = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that was found out.

    :ivar damaged: distributions whose metadata cannot be read.
    :ivar disabled: names in `AUTOCOG_DISABLE_PLUGINS`, which are not looked at.
    """

    plugins: tuple[PluginReport, ...]
    damaged: tuple[UnreadableDistribution, ...]
    disabled: tuple[str, ...]
    config: ConfigReport
    models: tuple[ModelReport, ...]
    environment: Environment

    @property
    def works(self) -> bool:
        """Whether the config file and all that it names work."""
        return self.config.problem is None and all(model.problem is None for model in self.models)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `schema` is the version of its form."""
        data: dict[str, Any] = plain({"schema": SCHEMA, "works": self.works, **asdict(self)})
        return data


def examine(
    model: str | None = None,
    *,
    config: str | os.PathLike[str] | None = None,
    load: bool = True,
    timeout: float = 120.0,
    watch: Watch = lambda done, total, current: None,
) -> Diagnosis:
    """Look at plugins, config file, models and environment.

    :param model: look at this model and the plugins that it names alone.
    :param config: the config file; None looks for it.
    :param load: load the models; else what is written of them is checked only.
    :param timeout: seconds that one import, or one model, may take.
    :raises ConfigError: if the config can be read, and has no such model.
    :raises UsageError: for a timeout that is no time.
    """
    if not 0 < timeout < math.inf:
        raise UsageError(
            f"{timeout:g} seconds are no time to wait",
            where="timeout",
            hint="give a number of seconds above 0",
        )
    config_report, found = examine_config(config)
    conceal_all(found)
    wanted = list(found.models)
    if model is not None and config_report.problem is None:
        wanted = [found.model(model)[0]]
    damaged = tuple(damaged_distributions())
    # What stops everything is told in place of the plugins, which it keeps from starting.
    stopped = any(each.stops_all for each in damaged)
    listed = [] if stopped else _installed(found, None if model is None else wanted)
    total = len(listed) + len(wanted)
    plugin_reports: list[PluginReport] = []
    for done, plugin in enumerate(listed):
        watch(done, total, plugin.name)
        plugin_reports.append(examine_plugin(plugin, timeout))
    models: list[ModelReport] = []
    for done, name in enumerate(wanted, len(listed)):
        watch(done, total, name)
        default = name == config_report.default_model
        models.append(
            examine_model(name, found, plugin_reports, default=default, load=load, timeout=timeout)
        )
    disabled = os.environ.get(plugins.DISABLE_VARIABLE, "").split(",")
    return Diagnosis(
        tuple(plugin_reports),
        damaged,
        tuple(sorted({name.strip() for name in disabled} - {""})),
        config_report,
        tuple(models),
        examine_environment(found),
    )


def _installed(config: Config, models: list[str] | None) -> list[plugins.InstalledPlugin]:
    """Every installed plugin, or those that these models name."""
    found = [plugin for group in GROUPS for plugin in plugins.installed_plugins(group)]
    if models is None:
        return found
    named = set()
    for model in (config.models[name] for name in models):
        named.add((plugins.BACKENDS, model.backend))
        named |= {(plugins.WRAPPERS, wrapper.name) for wrapper in model.wrappers}
    return [plugin for plugin in found if (plugin.entry_point.group, plugin.name) in named]
