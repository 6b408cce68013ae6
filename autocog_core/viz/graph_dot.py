"""An automaton as DOT, the language of Graphviz."""

from __future__ import annotations

from autocog_core.automaton.actions import Action
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.viz.facts import card, edge_label, loop_label, title
from autocog_core.viz.flow import Edge, flow_of

_SHAPES = {"text": "note", "choose": "hexagon", "complete": "box"}
_STYLES = {"complete": "rounded"}


def graph_dot(automaton: AutomatonGraph) -> str:
    """A directed graph, with a node for each action and an edge for each way between two.

    Nodes are called n0, n1 ... in flow order: a uid may be anything, and is in the label.

    :raises InputError: for an automaton without actions, or an unknown successor.
    """
    flow = flow_of(automaton)
    lines = [
        "digraph automaton {",
        '  node [fontname="monospace", fontsize=11];',
        '  edge [fontname="monospace", fontsize=10];',
    ]
    for number, (action, edges) in enumerate(zip(flow.actions, flow.leaving, strict=True)):
        rows = [f"{action.kind} {title(action)}", *card(action, several=len(edges) > 1)]
        shape = _SHAPES.get(action.kind, "box")
        style = _STYLES.get(action.kind, "solid")
        lines.append(f"  n{number} [shape={shape}, style={style}, label={_quoted(*rows)}];")
    for edge in flow.edges:
        lines.append(f"  n{edge.source} -> n{edge.target}{_attributes(flow.actions, edge)};")
    return "\n".join([*lines, "}"]) + "\n"


def _attributes(actions: tuple[Action, ...], edge: Edge) -> str:
    rows = [row for row in (edge_label(actions[edge.source], edge, 28), loop_label(edge)) if row]
    known = [f"label={_quoted(*rows)}"] if rows else []
    if edge.back:
        # It points upwards, and does not decide what is above what.
        known += ["style=dashed", "constraint=false"]
    return f" [{', '.join(known)}]" if known else ""


def _quoted(*rows: str) -> str:
    r"""A label of lines set to the left (\l); Graphviz reads backslashes and &entities; in it."""
    escaped = [row.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;") for row in rows]
    return '"' + "".join(f"{row}\\l" for row in escaped) + '"'
