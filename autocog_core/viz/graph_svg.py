"""An automaton as SVG: one picture with its own background, and nothing from outside."""

from __future__ import annotations

from xml.sax.saxutils import escape

from rich.cells import cell_len

from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.viz.flow import KIND_COLORS, Edge, Node, flow_nodes
from autocog_core.viz.layering import Size
from autocog_core.viz.layout import Box, Layout, Point, Step, lay_out

_COLUMN = 7.3
_ROW = 17.0
_PADDING = 14.0
_LABEL_COLUMN = 6.7
_LABEL_HEIGHT = 20.0
_PAPER, _INK, _DIM, _LINE, _BACK = "#f8fafc", "#1f2937", "#5b6573", "#7b8794", "#b4459c"
_RADIUS = {
    "text": 2,
    "messages": 2,
    "choose": 8,
    "complete": 16,
    "record": 8,
    "ask": 4,
    "join": 4,
}


def graph_svg(automaton: AutomatonGraph) -> str:
    """Return a picture with a box for each action, and arrows to its successors.

    A dot marks the first action, a dot in a ring the end of a path. Edges that close cycles are
    dashed.

    :param automaton: what to draw.
    :raises InputError: for an automaton without actions, or an unknown successor.
    """
    nodes = flow_nodes(automaton)
    edges = [edge for node in nodes for edge in node.edges]
    layout = lay_out(
        [_box_size(node) for node in nodes], edges, [_label_size(edge) for edge in edges]
    )
    sideways = layout.sideways
    parts = [_head(layout)]
    for edge, steps, joins in zip(edges, layout.routes, layout.joins, strict=True):
        parts.append(_edge(edge, steps))
        if not joins:
            parts.append(_arrowhead(steps[-1][-1], _BACK if edge.back else _LINE, sideways))
    for edge, box in zip(edges, layout.labels, strict=True):
        parts += [_edge_label(edge, box)] if box else []
    parts.append(_start_mark(layout.boxes[0], sideways))
    for node, box in zip(nodes, layout.boxes, strict=True):
        parts.append(_action(node, box))
        parts += [] if node.edges else [_end_mark(box, sideways)]
    return "\n".join([*parts, "</g>", "</svg>"]) + "\n"


def _box_size(node: Node) -> Size:
    columns = max(cell_len(row) for row in (f"{node.kind}  {node.title}", *node.rows))
    return columns * _COLUMN + 2 * _PADDING, (len(node.rows) + 1) * _ROW + _PADDING


def _label(edge: Edge) -> str:
    return " · ".join(edge.rows)


def _label_size(edge: Edge) -> Size | None:
    return (cell_len(_label(edge)) * _LABEL_COLUMN + 14, _LABEL_HEIGHT) if edge.rows else None


def _head(layout: Layout) -> str:
    width, height = round(layout.width), round(layout.height)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">\n'
        f'<rect width="{width}" height="{height}" rx="8" fill="{_PAPER}"/>\n'
        f'<g font-family="monospace" font-size="12" fill="{_INK}" xml:space="preserve">'
    )


def _action(node: Node, box: Box) -> str:
    fill, stroke, ink = KIND_COLORS[node.kind]
    x, y = box.x + _PADDING, box.y + _PADDING + 7
    lines = [
        f'<g class="action {node.kind}">',
        _rectangle(box, _RADIUS[node.kind], fill, f'{stroke}" stroke-width="1.3'),
        f'<text x="{x:.1f}" y="{y:.1f}"><tspan fill="{ink}">{node.kind}</tspan>'
        f'  <tspan font-weight="bold">{escape(node.title)}</tspan></text>',
    ]
    for row in node.rows:
        y += _ROW
        color = _INK if row.startswith(("'", '"', " ")) else _DIM
        lines.append(f'<text x="{x:.1f}" y="{y:.1f}" fill="{color}">{escape(row)}</text>')
    return "\n".join([*lines, "</g>"])


def _edge(edge: Edge, steps: list[Step]) -> str:
    color, dash = (_BACK, ' stroke-dasharray="5 3"') if edge.back else (_LINE, "")
    commands = ["M", *("C" if len(step) == 3 else "L" for step in steps[1:])]
    way = "".join(command + _points(*step) for command, step in zip(commands, steps, strict=True))
    return (
        f'<path class="edge" data-from="{edge.source}" data-to="{edge.target}" d="{way}" '
        f'fill="none" stroke="{color}" stroke-width="1.4"{dash}/>'
    )


def _edge_label(edge: Edge, box: Box) -> str:
    return (
        f'<g class="label">{_rectangle(box, 10, _PAPER, "#cbd5e1")}'
        f'<text x="{box.center[0]:.1f}" y="{box.y + 14:.1f}" font-size="11" text-anchor="middle" '
        f'fill="{_BACK if edge.back else _INK}">{escape(_label(edge))}</text></g>'
    )


def _start_mark(box: Box, sideways: bool) -> str:
    x, y = (box.x, box.center[1]) if sideways else (box.center[0], box.y)
    start = (x - 20, y) if sideways else (x, y - 20)
    head = _arrowhead((x, y), _LINE, sideways)
    return f"{_line(start, (x, y))}{head}{_circle(start, 4.5, _INK)}"


def _end_mark(box: Box, sideways: bool) -> str:
    x, y = (box.x + box.width, box.center[1]) if sideways else (box.center[0], box.y + box.height)
    end = (x + 14, y) if sideways else (x, y + 14)
    ring = _circle(end, 5.5, f'{_PAPER}" stroke="{_INK}')
    return f"{_line((x, y), end)}{ring}{_circle(end, 2.8, _INK)}"


def _rectangle(box: Box, radius: int, fill: str, stroke: str) -> str:
    return (
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" '
        f'height="{box.height:.1f}" rx="{radius}" fill="{fill}" stroke="{stroke}"/>'
    )


def _line(start: Point, end: Point) -> str:
    return f'<path d="M{_points(start)}L{_points(end)}" stroke="{_LINE}" stroke-width="1.4"/>'


def _arrowhead(tip: Point, color: str, sideways: bool) -> str:
    """Return a triangle that points along the layers: down, or to the right."""
    sides = "l-8 -4v8z" if sideways else "l-4 -8h8z"
    return f'<path d="M{_points(tip)}{sides}" fill="{color}"/>'


def _circle(center: Point, radius: float, fill: str) -> str:
    return f'<circle cx="{center[0]:.1f}" cy="{center[1]:.1f}" r="{radius}" fill="{fill}"/>'


def _points(*points: Point) -> str:
    return " ".join(f"{x:.1f} {y:.1f}" for x, y in points)
