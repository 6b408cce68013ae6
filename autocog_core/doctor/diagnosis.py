"""The whole examination. Its steps run one after the other, so that measured times are right."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from autocog_core.config import plugins
from autocog_core.config.config_file import Config
from autocog_core.doctor.config_report import ConfigReport, examine_config
from autocog_core.doctor.environment import Environment, examine_environment
from autocog_core.doctor.model_reports import ModelReport, examine_model
from autocog_core.doctor.plugin_reports import (
    PluginReport,
    UnreadableDistribution,
    examine_plugin,
    find_unreadable_distributions,
)
from autocog_core.doctor.report_redaction import register_secrets, to_json_data
from autocog_core.errors import UsageError

#: The version of `Diagnosis.to_dict`. It changes if a key is removed or changes its meaning.
SCHEMA = 1
#: Gets the number of finished steps, the number of all steps, and the name of the current one.
OnProgress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The whole report.

    :ivar plugins: the installed plugins.
    :ivar unreadable_distributions: distributions with unreadable metadata.
    :ivar disabled: the names in `AUTOCOG_DISABLE_PLUGINS`; these plugins are not examined.
    :ivar config: the config file.
    :ivar models: the configured models.
    :ivar environment: Python, the machine, the cache folder and variables.
    """

    plugins: tuple[PluginReport, ...]
    unreadable_distributions: tuple[UnreadableDistribution, ...]
    disabled: tuple[str, ...]
    config: ConfigReport
    models: tuple[ModelReport, ...]
    environment: Environment

    @property
    def works(self) -> bool:
        """Whether the config file and all its models work."""
        return self.config.problem is None and all(model.problem is None for model in self.models)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON data without secrets; `schema` is the version of its format."""
        data: dict[str, Any] = to_json_data({"schema": SCHEMA, "works": self.works, **asdict(self)})
        return data


def examine(
    model: str | None = None,
    *,
    config: str | os.PathLike[str] | None = None,
    load: bool = True,
    timeout: float = 120.0,
    on_progress: OnProgress = lambda done, total, current: None,
) -> Diagnosis:
    """Examine plugins, config file, models and environment.

    :param model: examine only this model and its plugins.
    :param config: the config file; None looks for it.
    :param load: load the models; otherwise, only check their options.
    :param timeout: the time limit for each import and each model, in seconds.
    :param on_progress: is called before each plugin and each model.
    :raises ConfigError: if the config can be read, and has no such model.
    :raises UsageError: if the timeout is not a positive, finite number.
    """
    if not 0 < timeout < math.inf:
        raise UsageError(
            f"{timeout:g} is not a positive, finite number of seconds", where="timeout"
        )
    config_report, loaded_config = examine_config(config)
    register_secrets(loaded_config)
    names = list(loaded_config.models)
    if model is not None and config_report.problem is None:
        names = [loaded_config.model(model)[0]]
    unreadable = tuple(find_unreadable_distributions())
    # If plugins are blocked, all would fail with the same error.
    is_blocked = any(distribution.blocks_plugins for distribution in unreadable)
    users = None if model is None else names
    selected = [] if is_blocked else _select_plugins(loaded_config, users)
    total = len(selected) + len(names)
    plugin_reports = []
    for done, plugin in enumerate(selected):
        on_progress(done, total, plugin.name)
        plugin_reports.append(examine_plugin(plugin, timeout))
    model_reports = []
    # With one model alone, others of its engine do not matter.
    known: dict[str, dict[str, Any]] | None = {} if model is None else None
    for done, name in enumerate(names, len(selected)):
        on_progress(done, total, name)
        is_default = name == config_report.default_model
        model_reports.append(
            examine_model(
                name,
                loaded_config,
                plugin_reports,
                is_default=is_default,
                load=load,
                timeout=timeout,
                known=known,
            )
        )
    return Diagnosis(
        plugins=tuple(plugin_reports),
        unreadable_distributions=unreadable,
        disabled=tuple(sorted(plugins.disabled_plugins())),
        config=config_report,
        models=tuple(model_reports),
        environment=examine_environment(loaded_config),
    )


def _select_plugins(config: Config, models: Sequence[str] | None) -> list[plugins.InstalledPlugin]:
    """Return the installed plugins: all, or those that some models use."""
    installed = [plugin for group in plugins.KINDS for plugin in plugins.installed_plugins(group)]
    if models is None:
        return installed
    used = set()
    for model in (config.models[name] for name in models):
        used.add((plugins.BACKENDS, plugins.backend_name(model.backend)))
        used |= {(plugins.WRAPPERS, wrapper.name) for wrapper in model.wrappers}
    return [plugin for plugin in installed if (plugin.entry_point.group, plugin.name) in used]
