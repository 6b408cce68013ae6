"""Print a diagnosis: sections of plugins, config file, models and environment, and a verdict."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from autocog_core.cli.output import facts_table, new_table, show
from autocog_core.cli.styles import BAD, CAUTION, GOOD
from autocog_core.cli.text import Text
from autocog_core.config.config_file import CONFIG_FILE_NAME, CONFIG_VARIABLE
from autocog_core.doctor import (
    ConfigReport,
    Diagnosis,
    Environment,
    ModelReport,
    PluginReport,
    Problem,
    UnreadableDistribution,
)
from autocog_core.redaction import redact

_MAX_FINGERPRINT = 16

#: The mark of a line in the report, and its content.
_Item = tuple[Text, RenderableType]


def show_diagnosis(diagnosis: Diagnosis) -> None:
    """Print the report as text."""
    plugins = [
        *map(_unreadable_item, diagnosis.unreadable_distributions),
        *map(_plugin_item, diagnosis.plugins),
    ]
    if diagnosis.disabled:
        names = ", ".join(diagnosis.disabled)
        plugins.append((Text("-", "dim"), _text(f"disabled by AUTOCOG_DISABLE_PLUGINS: {names}")))
    show(
        Text("plugins", "bold"),
        _item_table(plugins),
        Text("\nconfig file", "bold"),
        _item_table([_config_item(diagnosis.config)]),
        Text("\nmodels", "bold"),
        _item_table(_model_item(model, diagnosis.config) for model in diagnosis.models)
        if diagnosis.models
        else Text("none"),
        Text("\nenvironment", "bold"),
        _facts_table(_environment_facts(diagnosis.environment)),
        "",
        _verdict(diagnosis),
    )


def _item_table(items: Iterable[_Item]) -> Table:
    """Two columns: long lines stay to the right of the marks."""
    table = new_table()
    table.show_header = False
    table.box = None
    table.add_column(no_wrap=True, min_width=len("error"))
    table.add_column(overflow="fold")
    for mark, content in items:
        table.add_row(mark, content)
    return table


def _mark(problem: Problem | None) -> Text:
    return Text("ok", GOOD) if problem is None else Text("error", BAD)


def _text(text: str) -> Text:
    return Text(text, overflow="fold")


def _problem_lines(problem: Problem | None, *subjects: str) -> Iterator[Text]:
    """What is wrong, and the fix.

    :param subjects: texts that name the item of the report. A `where` with one of them is left out.
    """
    if problem is None:
        return
    is_known = any(redact(subject) in problem.where for subject in subjects)
    prefix = f"{problem.where}: " if problem.where and not is_known else ""
    yield _text(prefix + problem.message)
    if problem.fix:
        yield Text.assemble(("fix: ", "bold"), problem.fix, overflow="fold")


def _facts_table(facts: Iterable[tuple[str, str]]) -> Table:
    return facts_table((name, _text(value)) for name, value in facts)


def _plugin_item(report: PluginReport) -> _Item:
    parts = [f"{report.distribution} {report.version}"]
    if report.contract is not None:
        parts.append(f"contract {report.contract}")
    if report.import_seconds is not None:
        parts.append(f"import {1000 * report.import_seconds:.0f} ms")
    lines = [Text.assemble((f"{report.kind} {report.name}", "bold"), ": ", ", ".join(parts))]
    lines += _problem_lines(report.problem, f'"{report.name}"')
    if report.problem is None and report.hooks:
        lines.append(Text("hooks: " + ", ".join(report.hooks), "dim"))
    return _mark(report.problem), Group(*lines)


def _unreadable_item(report: UnreadableDistribution) -> _Item:
    title = Text.assemble(("unreadable distribution", "bold"), ": ", report.folder, overflow="fold")
    effect = (
        "until this is fixed, programs that look for plugins do not start"
        if report.blocks_plugins
        else "autocog does not find its plugins"
    )
    lines = _problem_lines(report.problem)
    return _mark(report.problem), Group(title, *lines, _text(effect))


def _config_item(report: ConfigReport) -> _Item:
    lines: list[RenderableType] = []
    if report.path:
        lines.append(_text(report.path))
    elif report.problem is None:
        lines.append(_text(f"none: create {CONFIG_FILE_NAME} with a [models.NAME] table"))
    lines += _problem_lines(report.problem, *filter(None, [report.path]))
    lines.append(_facts_table(_location_facts(report)))
    mark = _mark(report.problem) if report.path or report.problem else Text("-", "dim")
    return mark, Group(*lines)


def _location_facts(report: ConfigReport) -> Iterator[tuple[str, str]]:
    labels = {
        "argument": ("--config", "not given"),
        "variable": (f"${CONFIG_VARIABLE}", "not set"),
        "here": ("this folder", "none"),
        "above": ("folders above", "none"),
        "user": ("user folder", "none"),
    }
    for kind, (label, absent) in labels.items():
        locations = [location for location in report.locations if location.kind == kind]
        is_named = kind in ("argument", "variable")
        shown = [location for location in locations if is_named or location.exists]
        for location in shown:
            unused = "not used" if location.exists else "does not exist"
            yield label, f"{location.path} ({'in use' if location.is_used else unused})"
        if not shown:
            yield label, f"{absent} ({locations[0].path})" if kind == "user" else absent


def _model_item(report: ModelReport, config: ConfigReport) -> _Item:
    parts = [f"backend {report.backend}"]
    if report.wrappers:
        parts.append("wrappers " + ", ".join(report.wrappers))
    if report.state == "skipped":
        parts.append("options are valid, not loaded")
    if report.load_seconds is not None:
        parts.append(f"loaded in {report.load_seconds:.1f} s")
    if report.resident_bytes is not None:
        parts.append(f"{_size_text(report.resident_bytes)} resident")
    label = (" (default)", GOOD) if report.is_default else ""
    lines: list[RenderableType] = [
        Text.assemble((report.name, "bold"), label, ": ", ", ".join(parts), overflow="fold")
    ]
    lines += _problem_lines(report.problem, str(config.path), f'model "{report.name}"')
    lines += [
        Text.assemble(("warning: ", CAUTION), warning, overflow="fold")
        for warning in report.warnings
    ]
    if report.facts:
        lines.append(_facts_table(_engine_facts(report)))
    return _mark(report.problem), Group(*lines)


def _engine_facts(report: ModelReport) -> Iterator[tuple[str, str]]:
    facts = report.facts
    yield "engine", facts["engine"]
    context = facts["context_length"]
    yield "vocabulary", f"{facts['vocabulary_size']:,} tokens"
    yield "context length", "no limit" if context is None else f"{context:,}"
    yield "capabilities", ", ".join(facts["capabilities"])
    if offers := facts.get("offers"):
        yield "offers", ", ".join(offers)
    yield "tolerance", f"{facts['tolerance']:g} nats"
    yield "max concurrency", str(facts["max_concurrency"])
    fingerprint = report.fingerprint
    if fingerprint is None:
        yield "fingerprint", "not computed within the time limit"
    elif fingerprint:
        ellipsis = "…" if len(fingerprint) > _MAX_FINGERPRINT else ""
        yield "fingerprint", fingerprint[:_MAX_FINGERPRINT] + ellipsis
    for name, value in facts["details"].items():
        yield name, _detail_text(value)


def _detail_text(value: Any) -> str:
    if isinstance(value, list) and not any(isinstance(entry, list | dict) for entry in value):
        return ", ".join(map(_detail_text, value)) or "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _environment_facts(report: Environment) -> Iterator[tuple[str, str]]:
    yield "autocog", report.autocog
    yield "Python", f"{report.python} ({report.executable})"
    yield "platform", report.platform
    yield "CPUs", "unknown" if report.cpus is None else str(report.cpus)
    memory = _size_text(report.memory_bytes)
    yield "memory", f"{memory}, {_size_text(report.free_memory_bytes)} free"
    state = "" if report.is_cache_writable else ", not writable"
    folder = report.cache_folder or "none: set HOME or AUTOCOG_CACHE"
    yield "cache folder", f"{folder} ({_size_text(report.cache_bytes)}){state}"
    yield "disk", f"{_size_text(report.free_disk_bytes)} free"
    yield from report.variables.items()
    for name, is_set in report.secrets.items():
        yield name, "set" if is_set else "not set"


def _size_text(count: int | None) -> str:
    if count is None:
        return "unknown"
    amount, units = float(count), ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while amount >= 1024 and len(units) > 1:
        amount /= 1024
        del units[0]
    return f"{amount:.{0 if units[0] == 'bytes' else 1}f} {units[0]}"


def _verdict(diagnosis: Diagnosis) -> Text:
    if diagnosis.config.problem is not None:
        return Text("the config file has errors", BAD)
    names = [model.name for model in diagnosis.models if model.problem is not None]
    if names:
        label = "model" if len(names) == 1 else "models"
        return Text(f"{label} with errors: {', '.join(names)}", BAD)
    works = "everything configured works" if diagnosis.models else "no model is configured"
    verdict = Text(works, GOOD)
    broken_plugins = any(plugin.problem is not None for plugin in diagnosis.plugins)
    if broken_plugins or diagnosis.unreadable_distributions:
        verdict.append("; no configured model uses the plugins with errors")
    return verdict
