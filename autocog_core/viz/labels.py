"""What an action does, in short phrases without default settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len

from autocog_core.automaton.actions import Action, Ask, Choose, Complete, Messages, Record, Text
from autocog_core.automaton.templates.template import Each
from autocog_core.errors import InputError
from autocog_core.records.source import record_source
from autocog_core.types.choice import EndOfSequence
from autocog_core.viz.preview import (
    Previewable,
    name_preview,
    pattern_preview,
    preview,
    preview_lines,
)

_CHOICE_COLUMNS = 28
_STOP_COLUMNS = 16
_MAX_STOPS = 3
_ROW_COLUMNS = 44
_MAX_CHOICES = 8
_MAX_MESSAGES = 5


def action_rows(action: Action, show_choices: bool) -> list[str]:
    """Return the lines of an action below its title.

    :param action: what to describe.
    :param show_choices: whether to list its choices; no if they label its edges.
    """
    rows = preview_lines(action.text, _ROW_COLUMNS) if isinstance(action, Text) else []
    if isinstance(action, Messages):
        rows = message_lines(action, _ROW_COLUMNS)
    line = ""
    for setting in action_settings(action):
        if line and cell_len(f"{line} · {setting}") > _ROW_COLUMNS:
            rows.append(line)
            line = ""
        line += f" · {setting}" if line else setting
    rows += [line] if line else []
    if isinstance(action, Choose) and show_choices:
        choices = action.choices
        shown = len(choices) if len(choices) <= _MAX_CHOICES else _MAX_CHOICES - 1
        rows += [f"  {preview(choice, _ROW_COLUMNS - 2)}" for choice in choices[:shown]]
        rows += [f"  and {len(choices) - shown} more"] if len(choices) > shown else []
    return rows


def message_lines(action: Messages, width: int) -> list[str]:
    """Return a preview of each message; of many, the first ones and the last.

    :param action: the messages.
    :param width: the most columns of a line.
    """
    messages = action.messages
    left_out = max(0, len(messages) - _MAX_MESSAGES)
    shown = messages if not left_out else (*messages[: _MAX_MESSAGES - 1], messages[-1])
    lines = [f"{m.role}: {preview(m.content, width - len(m.role) - 2)}" for m in shown]
    return [*lines[:-1], f"  and {left_out} more", *lines[-1:]] if left_out else lines


def action_settings(action: Action) -> list[str]:
    """Return the settings of an action, apart from its uid, text, choices and successors.

    :param action: what to describe.
    """
    settings: list[str | bool] = [action.name is not None and f"field {name_preview(action.name)}"]
    match action:
        case Text():
            settings.append(action.evaluate and "evaluated")
        case Messages():
            settings += [
                f"{name} {preview(json.dumps(value), _CHOICE_COLUMNS)}"
                for name, value in (action.template_arguments or {}).items()
            ]
        case Choose():
            prompt = action.unconditional_prompt
            settings += [
                _choice_count(action),
                action.top is not None and f"top {action.top}",
                *_selection(action),
                action.norm != "sum" and f"norm {action.norm}",
                prompt is not None and f"unconditional {preview(prompt, _CHOICE_COLUMNS)}",
            ]
            if isinstance(action.suffix, EndOfSequence):
                settings.append("end EOS")
            elif action.suffix is not None:
                settings.append(f"end {preview(action.suffix, _CHOICE_COLUMNS)}")
        case Complete():
            settings += [_plural(action.length, "token"), _stops(action), *_search(action)]
            settings += _selection(action)
            if action.vocab is not None:
                vocab = name_preview(action.vocab) if isinstance(action.vocab, str) else "inline"
                settings.append(f"vocab {vocab}")
            settings += [not action.eos and "no eos", *_constraint(action)]
        case Record():
            settings += _record(action)
        case Ask():
            settings.append(_plural(len(action.first_questions), "question"))
            if action.for_each is not None:
                name = name_preview(action.for_each.name)
                settings.append(f"for each {name} in {name_preview(action.for_each.items)}")
    settings.append(action.is_fresh and "new text")
    settings.append(action.max_visits is not None and f"max_visits {action.max_visits}")
    if isinstance(action, Choose | Complete) and action.thinking is not None:
        settings.append(f"thinks up to {_plural(action.thinking.length, 'token')}")
    settings.append(action.model is not None and f"model {name_preview(action.model)}")
    return [setting for setting in settings if isinstance(setting, str) and setting]


def branches_label(action: Action, branches: Sequence[int], columns: int) -> str:
    """Return which choices lead along an edge; "" where there is no choice.

    :param action: the source of the edge.
    :param branches: indices of choices.
    :param columns: the most columns of the answer.
    """
    if not isinstance(action, Choose) or not branches:
        return ""
    single = len(action.choices) == 1 and not isinstance(action.choices[0], Each)
    if len(branches) == len(action.choices) and not single:
        return f"any of {_choice_count(action)}"
    return choice_list([action.choices[branch] for branch in branches], columns)


def choice_list(choices: Sequence[Previewable], columns: int) -> str:
    """Return the choices that fit and the number of the others, or else the number of all.

    :param choices: at least one.
    :param columns: the most columns of the choices.
    """
    shown: list[str] = []
    used = 0
    for choice in choices:
        text = preview(choice, _CHOICE_COLUMNS)
        used += cell_len(text) + 2
        if used > columns and len(choices) > 1:
            break
        shown.append(text)
    left_out = len(choices) - len(shown)
    if left_out and len(shown) < 2:
        return f"{len(choices)} choices"
    return ", ".join(shown) + (f" and {left_out} more" if left_out else "")


def _choice_count(action: Choose) -> str:
    """Return the number of choices; the length of a list is unknown before there are inputs."""
    lists = sum(isinstance(choice, Each) for choice in action.choices)
    fixed = _plural(len(action.choices) - lists, "choice")
    if not lists:
        return fixed
    return "a list" if lists == len(action.choices) else f"{fixed} and a list"


def _selection(action: Choose | Complete) -> list[str | bool]:
    width = "all" if action.width is None else action.width
    on = "" if action.threshold_on == "prob" else f" on {action.threshold_on}"
    return [
        width != 1 and f"width {width}",
        action.threshold > 0 and f"threshold {action.threshold:g}{on}",
    ]


def _stops(action: Complete) -> str:
    shown = ", ".join(preview(stop, _STOP_COLUMNS) for stop in action.stop[:_MAX_STOPS])
    left_out = len(action.stop) - _MAX_STOPS
    return f"stop {shown}{f' and {left_out} more' if left_out > 0 else ''}" if shown else ""


def _search(action: Complete) -> list[str | bool]:
    if action.samples:
        return [
            _plural(action.samples, "sample"),
            f"temperature {action.temperature:g}",
            action.top_p != 1 and f"top_p {action.top_p:g}",
        ]
    penalty = action.length_penalty
    return [_plural(action.beams, "beam"), penalty != 1 and f"length_penalty {penalty:g}"]


def _constraint(action: Complete) -> list[str | bool]:
    return [
        action.regex is not None and f"regex {pattern_preview(action.regex, _CHOICE_COLUMNS)}",
        action.grammar is not None and "grammar",
        action.json_schema is not None and "json_schema",
        action.followed_by is not None
        and f"followed by {pattern_preview(action.followed_by, _STOP_COLUMNS)}",
        action.importance_weights and "importance weights",
    ]


def _record(action: Record) -> list[str | bool]:
    return [
        _record_size(action.schema),
        action.template is not None and f"template {preview(action.template, _CHOICE_COLUMNS)}",
        action.flat and "flat",
        action.beams > 1 and _plural(action.beams, "beam"),
    ]


def _record_size(source: Any) -> str:
    """Return how many fields a record has, or the type of a record without fields."""
    try:
        schema = record_source(source).schema
    except InputError:
        return "an invalid schema"
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if isinstance(properties, dict):
        return _plural(len(properties), "key")
    kind = schema.get("type") if isinstance(schema, dict) else None
    return f"type {name_preview(kind)}" if isinstance(kind, str) else ""


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
