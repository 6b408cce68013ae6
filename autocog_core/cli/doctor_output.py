"""A diagnosis for people: sections, and in them what works, what does not, and what mends it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from autocog_core.cli.output import facts_table, new_table, printable, show
from autocog_core.config.config_file import CONFIG_FILE_NAME, CONFIG_VARIABLE
from autocog_core.doctor import (
    ConfigReport,
    Diagnosis,
    Environment,
    ModelReport,
    PluginReport,
    Problem,
)

_FINGERPRINT_SHOWN = 16


def show_diagnosis(diagnosis: Diagnosis) -> None:
    """Print all of it, and a verdict at its end."""
    show(
        Text("plugins", "bold"),
        _items([*_damaged(diagnosis), *map(_plugin, diagnosis.plugins), *_disabled(diagnosis)]),
        Text("\nconfig file", "bold"),
        _items([_config(diagnosis.config)]),
        Text("\nmodels", "bold"),
        _items(map(_model, diagnosis.models)) if diagnosis.models else Text("none"),
        Text("\nenvironment", "bold"),
        _facts(_environment(diagnosis.environment)),
        "",
        _verdict(diagnosis),
    )


def _items(items: Iterable[tuple[Text, RenderableType]]) -> Table:
    """Marks, and beside each what it says, so that long lines stay beside it."""
    table = new_table()
    table.show_header = False
    table.box = None
    table.add_column(no_wrap=True, min_width=len("error"))
    table.add_column(overflow="fold")
    for mark, item in items:
        table.add_row(mark, item)
    return table


def _mark(problem: Problem | None) -> Text:
    return Text("ok", "green") if problem is None else Text("error", "bold red")


def _text(text: str) -> Text:
    return Text(printable(text), overflow="fold")


def _reason(problem: Problem) -> Iterator[Text]:
    yield _text(problem.what)
    if problem.fix:
        yield Text.assemble(("fix: ", "bold"), printable(problem.fix), overflow="fold")


def _facts(facts: Iterable[tuple[str, str]]) -> Table:
    return facts_table((name, _text(value)) for name, value in facts)


def _plugin(report: PluginReport) -> tuple[Text, RenderableType]:
    parts = [f"{report.distribution} {report.version}"]
    if report.contract is not None:
        parts.append(f"contract {report.contract}")
    if report.import_seconds is not None:
        parts.append(f"import {1000 * report.import_seconds:.0f} ms")
    lines = [Text.assemble((f"{report.kind} {report.name}", "bold"), ": ", ", ".join(parts))]
    if report.problem is not None:
        lines += _reason(report.problem)
    elif report.hooks:
        lines.append(Text("hooks: " + ", ".join(report.hooks), "dim"))
    return _mark(report.problem), Group(*lines)


def _damaged(diagnosis: Diagnosis) -> Iterator[tuple[Text, RenderableType]]:
    for each in diagnosis.damaged:
        problem = each.problem
        title = Text.assemble(("damaged", "bold"), ": ", each.folder, overflow="fold")
        stops = "no program that looks for plugins starts while it is there"
        note = _text(stops if each.stops_all else "its plugins are not found")
        yield _mark(problem), Group(title, *_reason(problem), note)


def _disabled(diagnosis: Diagnosis) -> Iterator[tuple[Text, RenderableType]]:
    if diagnosis.disabled:
        names = ", ".join(diagnosis.disabled)
        yield Text("-", "dim"), _text(f"disabled by AUTOCOG_DISABLE_PLUGINS: {names}")


def _config(report: ConfigReport) -> tuple[Text, RenderableType]:
    title = _text(report.path or f"none: write {CONFIG_FILE_NAME} with a [models.NAME] table")
    lines: list[RenderableType] = [title]
    if report.problem is not None:
        lines = [*([title] if report.path else []), *_reason(report.problem)]
    lines.append(_facts(_places(report)))
    mark = _mark(report.problem) if report.path or report.problem else Text("-", "dim")
    return mark, Group(*lines)


def _places(report: ConfigReport) -> Iterator[tuple[str, str]]:
    labels = {
        "argument": ("--config", "not given"),
        "variable": (f"${CONFIG_VARIABLE}", "not set"),
        "here": ("this folder", "none"),
        "above": ("folders above", "none"),
        "user": ("user's folder", "none"),
    }
    for kind, (label, absent) in labels.items():
        places = [place for place in report.places if place.kind == kind]
        if kind in ("argument", "variable"):
            found = places
        else:
            found = [place for place in places if place.exists]
        for place in found:
            state = "counts" if place.is_used else "not used" if place.exists else "does not exist"
            yield label, f"{place.path} ({state})"
        if not found:
            yield label, f"{absent} ({places[0].path})" if kind == "user" else absent


def _model(report: ModelReport) -> tuple[Text, RenderableType]:
    parts = [f"backend {report.backend}"]
    if report.wrappers:
        parts.append("wrappers " + ", ".join(report.wrappers))
    if report.state == "skipped":
        parts.append("its options are right, not loaded")
    if report.seconds is not None:
        parts.append(f"loaded in {report.seconds:.1f} s")
    if report.resident_bytes is not None:
        parts.append(f"{_size(report.resident_bytes)} resident")
    label = (" (default)", "green") if report.default else ""
    lines: list[RenderableType] = [
        Text.assemble((report.name, "bold"), label, ": ", ", ".join(parts), overflow="fold")
    ]
    if report.problem is not None:
        lines += _reason(report.problem)
    if report.facts:
        lines.append(_facts(_engine(report)))
    return _mark(report.problem), Group(*lines)


def _engine(report: ModelReport) -> Iterator[tuple[str, str]]:
    facts = report.facts
    yield "engine", facts["engine"]
    context = facts["context_length"]
    yield "vocabulary", f"{facts['vocabulary_size']:,} tokens"
    yield "context length", "no limit" if context is None else f"{context:,}"
    yield "capabilities", ", ".join(facts["capabilities"])
    yield "tolerance", f"{facts['tolerance']:g} nats"
    yield "concurrency", str(facts["concurrency"])
    fingerprint = report.fingerprint
    if fingerprint is None:
        yield "fingerprint", "not told in time"
    elif fingerprint:
        cut = len(fingerprint) > _FINGERPRINT_SHOWN
        yield "fingerprint", fingerprint[:_FINGERPRINT_SHOWN] + ("…" if cut else "")
    for name, value in facts["details"].items():
        yield name, _value(value)


def _value(value: Any) -> str:
    if isinstance(value, list) and not any(isinstance(entry, list | dict) for entry in value):
        return ", ".join(map(_value, value)) or "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _environment(found: Environment) -> Iterator[tuple[str, str]]:
    yield "autocog", found.autocog
    yield "Python", f"{found.python} ({found.executable})"
    yield "platform", found.platform
    yield "CPUs", _unknown(found.cpus)
    yield "memory", f"{_size(found.memory_bytes)}, {_size(found.memory_free)} of it free"
    state = "" if found.cache_writable else ", which cannot be written"
    yield "cache folder", f"{found.cache_folder} ({_size(found.cache_bytes)}){state}"
    yield "disk", f"{_size(found.disk_free)} free"
    for name, value in found.variables.items():
        yield name, value
    for name, is_set in found.secrets.items():
        yield name, "set" if is_set else "not set"


def _size(count: int | None) -> str:
    if count is None:
        return "unknown"
    amount, units = float(count), ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while amount >= 1024 and len(units) > 1:
        amount /= 1024
        del units[0]
    return f"{amount:.{0 if units[0] == 'bytes' else 1}f} {units[0]}"


def _unknown(value: int | None) -> str:
    return "unknown" if value is None else str(value)


def _verdict(diagnosis: Diagnosis) -> Text:
    failing = [model.name for model in diagnosis.models if model.problem is not None]
    idle = [f"{each.kind} {each.name}" for each in diagnosis.plugins if each.problem is not None]
    if diagnosis.config.problem is not None:
        verdict = Text("the config file does not work", "bold red")
    elif failing:
        which = "does" if len(failing) == 1 else "do"
        verdict = Text(f"{', '.join(failing)} {which} not work", "bold red")
    else:
        verdict = Text("all that is configured works", "green")
        if idle or diagnosis.damaged:
            verdict.append("; no configured model uses what has errors above")
    return verdict
