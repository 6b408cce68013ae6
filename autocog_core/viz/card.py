"""What stands in the box of an action, in a picture."""

from __future__ import annotations

from rich.cells import cell_len

from autocog_core.fta.actions import Action, Choose, Text
from autocog_core.viz.facts import facts
from autocog_core.viz.preview import preview, preview_lines

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
