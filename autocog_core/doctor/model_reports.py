"""Whether each configured model loads, and what its engine says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from autocog_core.config.config_file import Config
from autocog_core.doctor.child import ask
from autocog_core.doctor.plugin_reports import PluginReport
from autocog_core.doctor.problem import Problem
from autocog_core.doctor.secrecy import conceal_hidden

State = Literal["loads", "skipped", "error"]


@dataclass(frozen=True, slots=True)
class ModelReport:
    """One configured model.

    :ivar default: it is used where none is named.
    :ivar state: "skipped": all that is written of it is right, and it was not tried further.
    :ivar seconds: how long it took to load.
    :ivar resident_bytes: what the process that loaded it held in memory then, Python included.
    :ivar facts: what the engine says of itself: see `BackendInfo`.
    :ivar fingerprint: the model's identity; None where it was not told in time.
    """

    name: str
    default: bool
    backend: str
    wrappers: tuple[str, ...]
    state: State
    problem: Problem | None = None
    seconds: float | None = None
    resident_bytes: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    fingerprint: str | None = None


def examine_model(
    name: str,
    config: Config,
    plugins: Sequence[PluginReport],
    *,
    default: bool,
    load: bool,
    timeout: float,
) -> ModelReport:
    """Check one model, and load it if `load`, in a process of its own.

    :param plugins: reports on the plugins: a model that names one which fails is not tried.
    """
    model = config.models[name]
    identity = (name, default, model.backend, tuple(wrapper.name for wrapper in model.wrappers))
    for report in plugins:
        if report.problem is not None and is_named(report, config, name):
            what = f'{report.kind} "{report.name}": {report.problem.what}'
            return ModelReport(*identity, "error", Problem(what, report.problem.fix))
    depth = "load" if load else "check"

    def learn(facts: dict[str, Any]) -> None:
        conceal_hidden(model, facts.pop("hidden", ()))

    arguments = [str(config.path), name, depth]
    answer = ask("autocog_core.doctor.model_probe", arguments, timeout, learn)
    told = dict(answer.told)
    problem = None
    # All but the fingerprint was told: that may be slow, and the model works.
    loaded_but_slow = answer.timed_out and "facts" in told and "fingerprint" not in told
    if answer.fault and not loaded_but_slow:
        problem = Problem(f"{_stage(told)} {answer.fault}", "")
    elif "what" in told:
        problem = Problem(told["what"], told["fix"])
    return ModelReport(
        *identity,
        "error" if problem else "loads" if load else "skipped",
        problem,
        told.get("seconds"),
        told.get("resident_bytes"),
        told.get("facts", {}),
        told.get("fingerprint"),
    )


def is_named(report: PluginReport, config: Config, model: str) -> bool:
    """Whether a model of the config names this plugin."""
    entry = config.models[model]
    if report.kind == "wrapper":
        return report.name in [wrapper.name for wrapper in entry.wrappers]
    return report.kind == "backend" and report.name == entry.backend


def _stage(told: dict[str, Any]) -> str:
    if "facts" in told:
        return "it loads, but at its end"
    return "while it was loaded" if "checked" in told else "while its options were checked"
