"""An automaton as lines for a terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text as Line

from autocog_core.automaton.actions import Action, Choose, Text
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.viz.facts import edge_label, facts, loop_label, some_choices, title
from autocog_core.viz.flow import Edge, flow_of
from autocog_core.viz.preview import name_preview, preview

STYLES = {"text": "blue", "choose": "yellow", "complete": "green"}
_CHOICES_WIDTH = 60


def graph_text(automaton: AutomatonGraph) -> Table:
    """One line an action, in flow order: what it does, and where it leads.

    Choices that lead to different actions have lines of their own, below the action's.

    :raises InputError: for an automaton without actions, or an unknown successor.
    """
    flow = flow_of(automaton)
    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", style="bold")
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for action, edges in zip(flow.actions, flow.leaving, strict=True):
        alone = len(edges) == 1
        table.add_row(
            Line(action.kind, style=STYLES.get(action.kind, "")),
            Line(title(action)),
            Line(_what(action, several=len(edges) > 1)),
            _where(edges[0], flow.actions) if alone else Line("" if edges else "end", style="dim"),
        )
        for edge in () if alone else edges:
            table.add_row("", "", Line("  " + edge_label(action, edge)), _where(edge, flow.actions))
    return table


def _what(action: Action, several: bool) -> str:
    """The text or the choices of an action, unless these have lines of their own; and its facts."""
    parts = facts(action)
    if isinstance(action, Text):
        parts.insert(0, preview(action.text))
    if isinstance(action, Choose) and not several:
        parts.append(some_choices(action.choices, _CHOICES_WIDTH))
    return ", ".join(parts)


def _where(edge: Edge, actions: tuple[Action, ...]) -> Line:
    uid = name_preview(actions[edge.target].uid)
    if not edge.back:
        return Line(f"-> {uid}")
    bound = loop_label(edge)
    return Line(f"-> {uid} (back{', ' + bound if bound else ''})", style="magenta")
