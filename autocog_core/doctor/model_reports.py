"""Reports on configured models: whether each one loads, and how its engine describes itself."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from autocog_core.config.config_file import Config, ModelConfig
from autocog_core.config.plugins import backend_name
from autocog_core.doctor.plugin_reports import PluginReport
from autocog_core.doctor.probe import PARTNERS, run_probe
from autocog_core.doctor.problem import Problem
from autocog_core.doctor.report_redaction import register_hidden_options

MODEL_PROBE = "autocog_core.doctor.model_probe:probe_model"
FINGERPRINT_STEP = "computing the fingerprint"
PARTNERS_STEP = "loading other models of its engine"

State = Literal["loads", "skipped", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReport:
    """One configured model.

    :ivar name: the name in the config file.
    :ivar is_default: commands use this model if none is named.
    :ivar backend: the backend's name.
    :ivar wrappers: the names of the wrappers, outermost first.
    :ivar state: "skipped" if the options are valid and the model was not loaded.
    :ivar problem: why the model does not work; None if it does.
    :ivar warnings: what works, but probably not as expected.
    :ivar load_seconds: the loading time; short for a later model on an engine.
    :ivar resident_bytes: the memory of the process after loading, Python included.
    :ivar facts: the engine's description of itself, see `BackendInfo`.
    :ivar fingerprint: the model's identity; None if it was not computed within the time limit.
    """

    name: str
    is_default: bool
    backend: str
    wrappers: tuple[str, ...]
    state: State
    problem: Problem | None = None
    warnings: tuple[str, ...] = ()
    load_seconds: float | None = None
    resident_bytes: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    fingerprint: str | None = None


def examine_model(
    name: str,
    config: Config,
    plugins: Sequence[PluginReport],
    *,
    is_default: bool,
    load: bool,
    timeout: float,
    known: dict[str, dict[str, Any]] | None = None,
) -> ModelReport:
    """Check one model in a child process, and load it if `load`.

    Models of one `engine` are loaded in one process, so that the engine is loaded once.

    :param plugins: reports on the plugins. A model that uses a plugin with a problem is not tried.
    :param is_default: the report's `is_default`.
    :param timeout: the time limit in seconds.
    :param known: facts of models that were loaded with another one, by name. None: the model is
        loaded alone. Those of models on its engine are added.
    """
    model = config.models[name]
    report = ModelReport(
        name=name,
        is_default=is_default,
        backend=model.backend,
        wrappers=tuple(wrapper.name for wrapper in model.wrappers),
        state="error",
    )
    for plugin in plugins:
        if plugin.problem is not None and _uses_plugin(model, plugin):
            where = plugin.problem.where or f'{plugin.kind} "{plugin.name}"'
            return replace(report, problem=replace(plugin.problem, where=where))

    def register(facts: dict[str, Any]) -> None:
        register_hidden_options(model, facts.pop("hidden", ()))
        for partner, partner_facts in facts.get(PARTNERS, {}).items():
            register_hidden_options(config.models[partner], partner_facts.pop("hidden", ()))

    if known and name in known:
        return _with_facts(report, known[name], "loads")
    partners = [] if known is None or not load else _find_partners(config, name)
    result = run_probe(
        MODEL_PROBE,
        [str(config.path), name, "load" if load else "check", *partners],
        timeout=timeout,
        fix="to see all its output, run: "
        + shlex.join(
            ["autocog", "tokenize", "--config", str(config.path), "--model", name, "text"]
        ),
        register=register,
    )
    problem = result.problem
    if result.timed_out and result.step == FINGERPRINT_STEP:
        # The model works. Its fingerprint may take long, because it may read all the weights.
        problem = None
    others = result.facts.pop(PARTNERS, {})
    if known is not None:
        # One that was not finished is examined alone.
        known |= {other: facts for other, facts in others.items() if facts.pop("is_done", False)}
    if result.step == PARTNERS_STEP:
        # This one works.
        problem = None
    facts = {**result.facts, "problem": problem}
    return _with_facts(report, facts, "loads" if load else "skipped")


def _with_facts(report: ModelReport, facts: dict[str, Any], state: State) -> ModelReport:
    problem = facts.pop("problem", None)
    if isinstance(problem, dict):
        problem = Problem(**problem)
    warnings = tuple(facts.pop("warnings", ()))
    state = "error" if problem else state
    return replace(report, state=state, problem=problem, warnings=warnings, **facts)


def _find_partners(config: Config, name: str) -> list[str]:
    """Return the other models of the same engine."""
    engine = config.models[name].engine
    return [
        other
        for other, model in config.models.items()
        if engine is not None and other != name and model.engine == engine
    ]


def _uses_plugin(model: ModelConfig, plugin: PluginReport) -> bool:
    if plugin.kind == "wrapper":
        return plugin.name in [wrapper.name for wrapper in model.wrappers]
    return plugin.kind == "backend" and plugin.name == backend_name(model.backend)
