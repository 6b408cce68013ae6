"""An automaton as a Mermaid flowchart, which GitHub, editors and notebooks draw."""

from __future__ import annotations

import re
from collections.abc import Iterable

from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.viz.flow import KIND_COLORS, OCCASIONAL_KINDS, flow_nodes

_SHAPES = {
    "text": "[{}]",
    "messages": "[{}]",
    "choose": "{{{{{}}}}}",
    "complete": "({})",
    "record": "[[{}]]",
    "ask": "[/{}\\]",
    "join": "[\\{}/]",
}
#: What Mermaid, Markdown or HTML may read as markup. Degree and pilcrow signs are how Mermaid marks
#: its entities. It reads "direction LR" even in quotes. HTML joins blanks.
_MARKUP = re.compile(
    r"""["#$%&*+;<>@\[\\\]^`{|}~°¶]|:(?! )|\b_|_\b|(?<=direction) |(?<= ) """, re.IGNORECASE
)


def graph_mermaid(automaton: AutomatonGraph) -> str:
    """Return a flowchart with a node for each action; edges that close cycles are dotted.

    Nodes are called n0, n1 ... in flow order; their labels have the uids.

    :param automaton: what to draw.
    :raises InputError: for an automaton without actions, or an unknown successor.
    """
    nodes, edges = [], []
    kinds = set()
    for index, node in enumerate(flow_nodes(automaton)):
        kinds.add(node.kind)
        label = _label([f"{node.kind} {node.title}", *node.rows])
        nodes.append(f"  n{index}{_SHAPES[node.kind].format(label)}:::{node.kind}\n")
        for edge in node.edges:
            arrow = "-.->" if edge.back else "-->"
            label = f"|{_label(edge.rows)}|" if edge.rows else ""
            edges.append(f"  n{edge.source} {arrow}{label} n{edge.target}\n")
    styles = [
        f"  classDef {kind} fill:{fill},stroke:{stroke},color:#1f2937\n"
        for kind, (fill, stroke, _) in KIND_COLORS.items()
        if kind not in OCCASIONAL_KINDS or kind in kinds
    ]
    return "".join(["flowchart TD\n", *nodes, *edges, *styles])


def _label(rows: Iterable[str]) -> str:
    """Return lines in quotes; a sign that could be markup becomes the entity `#code;`."""
    escaped = (_MARKUP.sub(_entity, row.strip()) for row in rows)
    return f'"{"<br/>".join(escaped)}"'


def _entity(sign: re.Match[str]) -> str:
    return "#160;" if sign[0] == " " else f"#{ord(sign[0])};"
