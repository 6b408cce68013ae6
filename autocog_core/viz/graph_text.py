"""An automaton as lines for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text as Line

from autocog_core.automaton.actions import Choose, Messages, Text
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.viz.flow import Edge, Node, flow_nodes
from autocog_core.viz.labels import action_settings, branches_label, choice_list, message_lines
from autocog_core.viz.preview import preview

_KIND_STYLES = {
    "text": "blue",
    "messages": "blue",
    "choose": "yellow",
    "complete": "magenta",
    "record": "bright_blue",
    "ask": "cyan",
    "join": "cyan",
}
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
        kind = Line(node.kind, style=_KIND_STYLES[node.kind])
        title, summary = Line(node.title), Line(_summary(node))
        if len(node.edges) == 1:
            table.add_row(kind, title, summary, _arrow(node.edges[0], nodes))
            continue
        table.add_row(kind, title, summary, Line("" if node.edges else "end", style="dim"))
        for edge in node.edges:
            choices = branches_label(node.action, edge.branches, _EDGE_COLUMNS)
            table.add_row("", "", Line(f"  {choices}"), _arrow(edge, nodes))
    return table


def _summary(node: Node) -> str:
    """Return text, settings, and the choices unless they have their own lines."""
    action = node.action
    parts = [preview(action.text)] if isinstance(action, Text) else []
    if isinstance(action, Messages):
        parts = message_lines(action, _CHOICES_COLUMNS)
    parts += action_settings(action)
    if isinstance(action, Choose) and len(node.edges) < 2:
        parts.append(choice_list(action.choices, _CHOICES_COLUMNS))
    return ", ".join(parts)


def _arrow(edge: Edge, nodes: Sequence[Node]) -> Line:
    title = nodes[edge.target].title
    if not edge.back:
        return Line(f"-> {title}")
    limit = f", {edge.limit}" if edge.limit else ""
    return Line(f"-> {title} (back{limit})", style="magenta")
