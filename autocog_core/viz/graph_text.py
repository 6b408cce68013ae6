"""An automaton as lines for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text as Line

from autocog_core.automaton.actions import Choose, Text
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.viz.flow import Edge, Node, flow_nodes
from autocog_core.viz.labels import action_settings, choice_list, edge_choices, visit_limit
from autocog_core.viz.preview import name_preview, preview

_KIND_STYLES = {"text": "blue", "choose": "yellow", "complete": "green"}
_CHOICES_COLUMNS = 60
_EDGE_COLUMNS = 48


def graph_text(automaton: AutomatonGraph) -> Table:
    """Return one line an action in flow order: what it does, and what follows.

    Choices that lead to different actions have their own lines below the action's.

    :param automaton: what to draw.
    :raises InputError: for an automaton without actions, or an unknown successor.
    """
    nodes = flow_nodes(automaton)
    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", style="bold")
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for node in nodes:
        kind = node.action.kind
        target = Line("" if node.edges else "end", style="dim")
        if len(node.edges) == 1:
            target = _arrow(node.edges[0], nodes)
        title = Line(name_preview(node.action.uid))
        table.add_row(Line(kind, style=_KIND_STYLES[kind]), title, Line(_summary(node)), target)
        for edge in node.edges if node.branches else ():
            choices = edge_choices(node.action, edge, _EDGE_COLUMNS)
            table.add_row("", "", Line(f"  {choices}"), _arrow(edge, nodes))
    return table


def _summary(node: Node) -> str:
    """Return text, settings, and the choices unless they have their own lines."""
    action = node.action
    parts = [preview(action.text)] if isinstance(action, Text) else []
    parts += action_settings(action)
    if isinstance(action, Choose) and not node.branches:
        parts.append(choice_list(action.choices, _CHOICES_COLUMNS))
    return ", ".join(parts)


def _arrow(edge: Edge, nodes: Sequence[Node]) -> Line:
    uid = name_preview(nodes[edge.target].action.uid)
    if not edge.back:
        return Line(f"-> {uid}")
    limit = visit_limit(edge)
    return Line(f"-> {uid} (back{', ' + limit if limit else ''})", style="magenta")
