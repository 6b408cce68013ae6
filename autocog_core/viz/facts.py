"""What an action does, as short phrases; settings that were left as they are go without saying."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from autocog_core.automaton.actions import Action, Choose, Complete, Text
from autocog_core.automaton.templates.template import Each
from autocog_core.types.choice import EndOfSequence
from autocog_core.viz.flow import Edge
from autocog_core.viz.preview import Previewable, name_preview, preview, preview_lines

_CHOICE_WIDTH = 28


_STOP_WIDTH = 16


_STOPS_SHOWN = 3


def title(action: Action) -> str:
    """Its uid, on one line."""
    return name_preview(action.uid)


def facts(action: Action) -> list[str]:
    """What there is to know of an action, apart from its uid, text, choices and successors."""
    found = [] if action.name is None else [f"field {name_preview(action.name)}"]
    match action:
        case Text():
            found += ["evaluated"] if action.evaluate else []
        case Choose():
            found += [_number_of_choices(action), *_followed(action)]
            if action.norm != "sum":
                found.append(f"norm {action.norm}")
            if action.unconditional_prompt is not None:
                found.append(f"unconditional {preview(action.unconditional_prompt, _CHOICE_WIDTH)}")
            if isinstance(action.suffix, EndOfSequence):
                found.append("end EOS")
            elif action.suffix is not None:
                found.append(f"end {preview(action.suffix, _CHOICE_WIDTH)}")
        case Complete():
            found += [_count(action.length, "token"), *_stops(action), *_search(action)]
            found += _followed(action)
            if action.vocab is not None:
                vocab = action.vocab if isinstance(action.vocab, str) else "of its own"
                found.append(f"vocab {name_preview(vocab)}")
            found += [] if action.eos else ["no eos"]
    if action.max_visits is not None:
        found.append(f"max_visits {action.max_visits}")
    if action.model is not None:
        found.append(f"model {name_preview(action.model)}")
    return found


def edge_label(action: Action, edge: Edge, width: int = 48) -> str:
    """Which choices lead along an edge; "" where there is no choice."""
    if not isinstance(action, Choose) or not edge.branches:
        return ""
    if len(edge.branches) == len(action.choices) and not _is_one(action):
        return f"any of {_number_of_choices(action)}"
    return some_choices([action.choices[branch] for branch in edge.branches], width)


def some_choices(choices: Sequence[Previewable], width: int) -> str:
    """As many choices as fit, and how many more there are; their number, if it is only one."""
    shown: list[str] = []
    columns = 0
    for choice in choices:
        text = preview(choice, _CHOICE_WIDTH)
        columns += cell_len(text) + 2
        if columns > width and len(choices) > 1:
            break
        shown.append(text)
    rest = len(choices) - len(shown)
    if not rest:
        return ", ".join(shown)
    return f"{', '.join(shown)} and {rest} more" if len(shown) > 1 else f"{len(choices)} choices"


def loop_label(edge: Edge) -> str:
    """The bound of a back edge."""
    return "" if edge.bound is None else f"max_visits {edge.bound}"


def _is_one(action: Choose) -> bool:
    return len(action.choices) == 1 and not isinstance(action.choices[0], Each)


def _number_of_choices(action: Choose) -> str:
    """How many there are; those made from a list are not known before there are inputs."""
    lists = sum(isinstance(choice, Each) for choice in action.choices)
    fixed = len(action.choices) - lists
    if not lists:
        return _count(fixed, "choice")
    return f"{_count(fixed, 'choice')} and a list" if fixed else "a list"


def _followed(action: Choose | Complete) -> list[str]:
    """Which of several answers are followed."""
    found = []
    if action.width != 1:
        found.append("width all" if action.width is None else f"width {action.width}")
    if action.threshold:
        on = "" if action.threshold_on == "prob" else f" on {action.threshold_on}"
        found.append(f"threshold {action.threshold:g}{on}")
    return found


def _stops(action: Complete) -> list[str]:
    if not action.stop:
        return []
    shown = ", ".join(preview(stop, _STOP_WIDTH) for stop in action.stop[:_STOPS_SHOWN])
    rest = len(action.stop) - _STOPS_SHOWN
    return [f"stop {shown}" + (f" and {rest} more" if rest > 0 else "")]


def _search(action: Complete) -> list[str]:
    if action.samples:
        found = [_count(action.samples, "sample"), f"temperature {action.temperature:g}"]
        return found + ([] if action.top_p == 1 else [f"top_p {action.top_p:g}"])
    found = [_count(action.beams, "beam")]
    if action.length_penalty != 1:
        found.append(f"length_penalty {action.length_penalty:g}")
    return found


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


_COLUMNS = 44


_CHOICES_SHOWN = 8


def card(action: Action, several: bool) -> list[str]:
    """What stands in an action's box below its title.

    :param several: choices lead to several actions: they stand at the edges, and not here.
    """
    rows = preview_lines(action.text, _COLUMNS) if isinstance(action, Text) else []
    line = ""
    for fact in facts(action):
        joined = f"{line} · {fact}" if line else fact
        if line and cell_len(joined) > _COLUMNS:
            rows.append(line)
            line = fact
        else:
            line = joined
    rows += [line] if line else []
    if isinstance(action, Choose) and not several:
        choices = action.choices
        shown = len(choices) if len(choices) <= _CHOICES_SHOWN else _CHOICES_SHOWN - 1
        rows += [f"  {preview(choice, _COLUMNS - 2)}" for choice in choices[:shown]]
        rows += [f"  and {len(choices) - shown} more"] if len(choices) > shown else []
    return rows
