"""An automaton as DOT, the language of Graphviz."""

from __future__ import annotations

from collections.abc import Iterable

from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.viz.flow import flow_nodes

_SHAPES = {
    "text": "shape=note, style=solid",
    "messages": "shape=note, style=solid",
    "choose": "shape=hexagon, style=solid",
    "complete": "shape=box, style=rounded",
    "record": "shape=box, peripheries=2",
    "ask": "shape=trapezium, style=solid",
    "join": "shape=invtrapezium, style=solid",
}


def graph_dot(automaton: AutomatonGraph) -> str:
    """Return a directed graph with a node for each action.

    Nodes are called n0, n1 ... in flow order; their labels have the uids.

    :param automaton: what to draw.
    :raises InputError: for an automaton without actions, or an unknown successor.
    """
    nodes, edges = [], []
    for index, node in enumerate(flow_nodes(automaton)):
        label = _label([f"{node.kind} {node.title}", *node.rows])
        nodes.append(f"  n{index} [{_SHAPES[node.kind]}, {label}];")
        for edge in node.edges:
            attributes = [_label(edge.rows)] if edge.rows else []
            # A back edge points upwards: it must not decide the ranks.
            attributes += ["style=dashed", "constraint=false"] if edge.back else []
            suffix = f" [{', '.join(attributes)}]" if attributes else ""
            edges.append(f"  n{edge.source} -> n{edge.target}{suffix};")
    head = [
        "digraph automaton {",
        '  node [fontname="monospace", fontsize=11];',
        '  edge [fontname="monospace", fontsize=10];',
    ]
    return "\n".join([*head, *nodes, *edges, "}"]) + "\n"


def _label(rows: Iterable[str]) -> str:
    r"""Return left-aligned lines (\l), with backslashes and HTML entities escaped."""
    escaped = [row.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;") for row in rows]
    return 'label="' + "".join(f"{row}\\l" for row in escaped) + '"'
