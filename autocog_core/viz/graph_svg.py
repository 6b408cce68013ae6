"""An automaton as SVG: one picture with a background of its own, and nothing from outside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape

from rich.cells import cell_len

from autocog_core.automaton.actions import Action
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.viz.drawing import Box, Layout, Point, Route
from autocog_core.viz.facts import card, edge_label, loop_label, title
from autocog_core.viz.flow import Edge, Flow, flow_of
from autocog_core.viz.layers import Link, Size
from autocog_core.viz.layout import lay_out

_COLUMN = 7.3
_ROW = 17.0
_PADDING = 14.0
_LABEL_COLUMN = 6.7
_LABEL_HEIGHT = 20.0
_LABEL_COLUMNS = 28
#: Arrowheads that point down, and to the right.
_HEADS = ("l-4 -8h8z", "l-8 -4v8z")
_INK, _DIM, _LINE, _BACK = "#1f2937", "#5b6573", "#7b8794", "#b4459c"


@dataclass(frozen=True, slots=True)
class _Look:
    """Colours and roundness of one kind of action."""

    fill: str
    stroke: str
    ink: str
    corner: float


_LOOKS = {
    "text": _Look("#ffffff", "#94a3b8", "#475569", 2),
    "choose": _Look("#fff7e0", "#d9a021", "#8a5a00", 8),
    "complete": _Look("#eafaf1", "#3fa672", "#146c43", 16),
}


def graph_svg(automaton: AutomatonGraph) -> str:
    """A drawing from top to bottom: a box for each action, and an arrow for each way between two.

    A dot marks where paths begin, and one in a ring where they end; ways back are dashed.

    :raises InputError: for an automaton without actions, or an unknown successor.
    """
    flow = flow_of(automaton)
    rows = [card(action, several=len(edges) > 1) for action, edges in _with_edges(flow)]
    labels = [_label(flow, edge) for edge in flow.edges]
    layout = lay_out(
        [_size(action, lines) for action, lines in zip(flow.actions, rows, strict=True)],
        [
            Link(edge.source, edge.target, edge.back, _label_size(label) if label else None)
            for edge, label in zip(flow.edges, labels, strict=True)
        ],
    )
    parts = [_opening(layout)]
    for edge, route in zip(flow.edges, layout.routes, strict=True):
        parts.append(_way(edge, route, layout.sideways))
    for edge, label, box in zip(flow.edges, labels, layout.labels, strict=True):
        if box is not None:
            parts.append(_chip(label, box, edge.back))
    parts.append(_start(layout.boxes[0], layout.sideways))
    for (action, edges), lines, box in zip(_with_edges(flow), rows, layout.boxes, strict=True):
        parts.append(_box(action, lines, box))
        if not edges:
            parts.append(_end(box, layout.sideways))
    return "\n".join([*parts, "</g>", "</svg>"]) + "\n"


def _with_edges(flow: Flow) -> Iterator[tuple[Action, tuple[Edge, ...]]]:
    return zip(flow.actions, flow.leaving, strict=True)


def _label(flow: Flow, edge: Edge) -> str:
    parts = (edge_label(flow.actions[edge.source], edge, _LABEL_COLUMNS), loop_label(edge))
    return " · ".join(part for part in parts if part)


def _size(action: Action, rows: list[str]) -> Size:
    columns = max(cell_len(row) for row in (f"{action.kind}  {title(action)}", *rows))
    return Size(columns * _COLUMN + 2 * _PADDING, (len(rows) + 1) * _ROW + _PADDING)


def _label_size(label: str) -> Size:
    return Size(cell_len(label) * _LABEL_COLUMN + 14, _LABEL_HEIGHT)


def _opening(layout: Layout) -> str:
    width, height = round(layout.width), round(layout.height)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">\n'
        f'<rect width="{width}" height="{height}" rx="8" fill="#f8fafc"/>\n'
        f'<g font-family="monospace" font-size="12" fill="{_INK}" xml:space="preserve">'
    )


def _box(action: Action, rows: list[str], box: Box) -> str:
    look = _LOOKS.get(action.kind, _LOOKS["text"])
    x, y = box.x + _PADDING, box.y + _PADDING + 7
    lines = [
        f'<g class="action {escape(action.kind)}">',
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" '
        f'rx="{look.corner:g}" fill="{look.fill}" stroke="{look.stroke}" stroke-width="1.3"/>',
        f'<text x="{x:.1f}" y="{y:.1f}"><tspan fill="{look.ink}">{escape(action.kind)}</tspan>'
        f'  <tspan font-weight="bold">{escape(title(action))}</tspan></text>',
    ]
    for number, row in enumerate(rows, start=1):
        colour = _INK if row.startswith(("'", '"', " ")) else _DIM
        lines.append(
            f'<text x="{x:.1f}" y="{y + number * _ROW:.1f}" fill="{colour}">{escape(row)}</text>'
        )
    return "\n".join([*lines, "</g>"])


def _way(edge: Edge, route: Route, sideways: bool) -> str:
    """The line of an edge, and its arrowhead, which always points the way of the drawing.

    Ends are told by the numbers of the actions in flow order.
    """
    colour, dash = (_BACK, ' stroke-dasharray="5 3"') if edge.back else (_LINE, "")
    steps = [("C" if len(step) == 3 else "L") + _points(step) for step in route.steps]
    line = (
        f'<path class="edge" data-from="{edge.source}" data-to="{edge.target}" '
        f'd="M{_points((route.start,))}{"".join(steps)}" fill="none" '
        f'stroke="{colour}" stroke-width="1.4"{dash}/>'
    )
    if route.meets:
        return line
    return f'{line}<path d="M{_points((route.end,))}{_HEADS[sideways]}" fill="{colour}"/>'


def _points(points: tuple[Point, ...]) -> str:
    return " ".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _chip(label: str, box: Box, back: bool) -> str:
    """A label upon its edge."""
    colour = _BACK if back else _INK
    return (
        f'<g class="label"><rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" '
        f'height="{box.height:.1f}" rx="10" fill="#f8fafc" stroke="#cbd5e1"/>'
        f'<text x="{box.center:.1f}" y="{box.y + 14:.1f}" font-size="11" text-anchor="middle" '
        f'fill="{colour}">{escape(label)}</text></g>'
    )


def _start(box: Box, sideways: bool) -> str:
    """The mark before the first action."""
    tip = (box.x, box.middle) if sideways else (box.center, box.y)
    mark = (tip[0] - 20, tip[1]) if sideways else (tip[0], tip[1] - 20)
    return (
        f'<path d="M{_points((mark,))}L{_points((tip,))}" stroke="{_LINE}" stroke-width="1.4"/>'
        f'<path d="M{_points((tip,))}{_HEADS[sideways]}" fill="{_LINE}"/>'
        f'<circle cx="{mark[0]:.1f}" cy="{mark[1]:.1f}" r="4.5" fill="{_INK}"/>'
    )


def _end(box: Box, sideways: bool) -> str:
    """The mark after an action that nothing follows."""
    right, bottom = box.x + box.width, box.y + box.height
    edge = (right, box.middle) if sideways else (box.center, bottom)
    mark = (right + 14, box.middle) if sideways else (box.center, bottom + 14)
    return (
        f'<path d="M{_points((edge,))}L{_points((mark,))}" stroke="{_LINE}" stroke-width="1.4"/>'
        f'<circle cx="{mark[0]:.1f}" cy="{mark[1]:.1f}" r="5.5" fill="#f8fafc" stroke="{_INK}"/>'
        f'<circle cx="{mark[0]:.1f}" cy="{mark[1]:.1f}" r="2.8" fill="{_INK}"/>'
    )
