"""Labels of nodes and edges: what an action does, in short phrases without default settings."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from autocog_core.automaton.actions import Action, Choose, Complete, Text
from autocog_core.automaton.templates.template import Each
from autocog_core.types.choice import EndOfSequence
from autocog_core.viz.flow import Edge, Node
from autocog_core.viz.preview import Previewable, name_preview, preview, preview_lines

#: Fill, border and title of each kind of action.
KIND_COLORS = {
    "text": ("#ffffff", "#94a3b8", "#475569"),
    "choose": ("#fff7e0", "#d9a021", "#8a5a00"),
    "complete": ("#eafaf1", "#3fa672", "#146c43"),
}
_CHOICE_COLUMNS = 28
_STOP_COLUMNS = 16
_MAX_STOPS = 3
_NODE_COLUMNS = 44
_MAX_CHOICES = 8


def node_rows(node: Node) -> list[str]:
    """Return the lines of a node below its title: text, settings and choices."""
    action = node.action
    rows = preview_lines(action.text, _NODE_COLUMNS) if isinstance(action, Text) else []
    rows += _wrap(action_settings(action))
    if isinstance(action, Choose) and not node.branches:
        choices = action.choices
        shown = len(choices) if len(choices) <= _MAX_CHOICES else _MAX_CHOICES - 1
        rows += [f"  {preview(choice, _NODE_COLUMNS - 2)}" for choice in choices[:shown]]
        rows += [f"  and {len(choices) - shown} more"] if len(choices) > shown else []
    return rows


def action_settings(action: Action) -> list[str]:
    """Return the settings of an action, apart from its uid, text, choices and successors."""
    settings = [] if action.name is None else [f"field {name_preview(action.name)}"]
    match action:
        case Text():
            settings += ["evaluated"] if action.evaluate else []
        case Choose():
            settings += [_choice_count(action), *_selection(action), *_norm(action)]
        case Complete():
            settings += [_plural(action.length, "token"), *_stops(action), *_search(action)]
            settings += _selection(action)
            if action.vocab is not None:
                vocab = name_preview(action.vocab) if isinstance(action.vocab, str) else "inline"
                settings.append(f"vocab {vocab}")
            settings += [] if action.eos else ["no eos"]
    if action.max_visits is not None:
        settings.append(f"max_visits {action.max_visits}")
    if action.model is not None:
        settings.append(f"model {name_preview(action.model)}")
    return settings


def edge_choices(action: Action, edge: Edge, columns: int) -> str:
    """Return which choices of its source lead along an edge; "" where there is no choice."""
    if not isinstance(action, Choose) or not edge.branches:
        return ""
    if len(edge.branches) == len(action.choices) and (
        len(action.choices) > 1 or isinstance(action.choices[0], Each)
    ):
        return f"any of {_choice_count(action)}"
    return choice_list([action.choices[branch] for branch in edge.branches], columns)


def edge_rows(node: Node, edge: Edge) -> list[str]:
    """Return the lines of an edge's label: its choices, and how often a cycle is taken."""
    rows = (edge_choices(node.action, edge, _CHOICE_COLUMNS), visit_limit(edge))
    return [row for row in rows if row]


def visit_limit(edge: Edge) -> str:
    """Return the limit of a back edge; "" for other edges."""
    return "" if edge.max_visits is None else f"max_visits {edge.max_visits}"


def choice_list(choices: Sequence[Previewable], columns: int) -> str:
    """Return the choices that fit and the number of the others, or else the number of all."""
    shown: list[str] = []
    used = 0
    for choice in choices:
        text = preview(choice, _CHOICE_COLUMNS)
        used += cell_len(text) + 2
        if used > columns and len(choices) > 1:
            break
        shown.append(text)
    left_out = len(choices) - len(shown)
    if not left_out:
        return ", ".join(shown)
    listed = f"{', '.join(shown)} and {left_out} more"
    return listed if len(shown) > 1 else f"{len(choices)} choices"


def _wrap(settings: Sequence[str]) -> list[str]:
    rows: list[str] = []
    for setting in settings:
        if rows and cell_len(f"{rows[-1]} · {setting}") <= _NODE_COLUMNS:
            rows[-1] += f" · {setting}"
        else:
            rows.append(setting)
    return rows


def _choice_count(action: Choose) -> str:
    """Return the number of choices; the length of a list is unknown before there are inputs."""
    lists = sum(isinstance(choice, Each) for choice in action.choices)
    fixed = _plural(len(action.choices) - lists, "choice")
    if not lists:
        return fixed
    return "a list" if lists == len(action.choices) else f"{fixed} and a list"


def _selection(action: Choose | Complete) -> list[str]:
    settings = []
    if action.width != 1:
        settings.append("width all" if action.width is None else f"width {action.width}")
    if action.threshold:
        on = "" if action.threshold_on == "prob" else f" on {action.threshold_on}"
        settings.append(f"threshold {action.threshold:g}{on}")
    return settings


def _norm(action: Choose) -> list[str]:
    settings = [] if action.norm == "sum" else [f"norm {action.norm}"]
    if action.unconditional_prompt is not None:
        prompt = preview(action.unconditional_prompt, _CHOICE_COLUMNS)
        settings.append(f"unconditional {prompt}")
    if isinstance(action.suffix, EndOfSequence):
        settings.append("end EOS")
    elif action.suffix is not None:
        settings.append(f"end {preview(action.suffix, _CHOICE_COLUMNS)}")
    return settings


def _stops(action: Complete) -> list[str]:
    if not action.stop:
        return []
    shown = ", ".join(preview(stop, _STOP_COLUMNS) for stop in action.stop[:_MAX_STOPS])
    left_out = len(action.stop) - _MAX_STOPS
    return [f"stop {shown} and {left_out} more" if left_out > 0 else f"stop {shown}"]


def _search(action: Complete) -> list[str]:
    if action.samples:
        top_p = [] if action.top_p == 1 else [f"top_p {action.top_p:g}"]
        return [_plural(action.samples, "sample"), f"temperature {action.temperature:g}", *top_p]
    penalty = action.length_penalty
    penalties = [] if penalty == 1 else [f"length_penalty {penalty:g}"]
    return [_plural(action.beams, "beam"), *penalties]


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
