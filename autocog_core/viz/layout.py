"""The layout of a drawing: boxes in layers, and edges as smooth curves between them.

Layers run from top to bottom, or from left to right where that would be too wide for a screen.
Edges bend only between layers, and pass a layer at a waypoint: no edge crosses a box or a label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from autocog_core.viz.flow import Edge
from autocog_core.viz.layering import LayeredGraph, Size

Point = tuple[float, float]
#: Of a path: a single point for its start or the end of a line, three points for a Bézier curve.
Step = tuple[Point, ...]

_MARGIN = 30.0
_SPACE = 26.0
_SPACE_SIDEWAYS = 14.0
_MIN_GAP = 34.0
_MAX_GAP = 150.0
#: The share of a layer's widest edge that is added to the gap: flat edges are hard to follow.
_SLOPE = 0.08
_MAX_WIDTH = 2400.0
_PORT_SPACE = 24.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle, by its upper left corner and its size."""

    x: float
    y: float
    width: float
    height: float

    @property
    def center(self) -> Point:
        """The point in its middle."""
        return self.x + self.width / 2, self.y + self.height / 2

    def transpose(self) -> Box:
        """Return it with x and y exchanged."""
        return Box(x=self.y, y=self.x, width=self.height, height=self.width)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where everything is drawn.

    :ivar width: the width of the drawing.
    :ivar height: the height of the drawing.
    :ivar boxes: one for each action.
    :ivar labels: the box of each edge's label.
    :ivar routes: the path of each edge.
    :ivar joins: whether an edge ends on another one that leads to the same target.
    :ivar sideways: whether layers run from left to right.
    """

    width: float
    height: float
    boxes: list[Box]
    labels: list[Box | None]
    routes: list[list[Step]]
    joins: list[bool]
    sideways: bool = False


def lay_out(sizes: Sequence[Size], edges: Sequence[Edge], labels: Sequence[Size | None]) -> Layout:
    """Place boxes, labels and edges.

    :param sizes: widths and heights of the boxes, at least one, in flow order.
    :param edges: in the order of their sources.
    :param labels: the size of each edge's label.
    """
    downwards = _lay_out(sizes, edges, labels, _SPACE)
    if downwards.width <= _MAX_WIDTH:
        return downwards
    heights = [(height, width) for width, height in sizes]
    label_heights = [label and (label[1], label[0]) for label in labels]
    sideways = _transpose(_lay_out(heights, edges, label_heights, _SPACE_SIDEWAYS))
    return sideways if sideways.width < downwards.width else downwards


def _lay_out(
    sizes: Sequence[Size], edges: Sequence[Edge], labels: Sequence[Size | None], space: float
) -> Layout:
    """Return a layout from top to bottom."""
    graph = LayeredGraph(sizes, edges, labels, space)
    left = [x - width / 2 for x, (width, _) in zip(graph.x, graph.sizes, strict=True)]
    shift = _MARGIN - min(left)
    bands, bottom = _bands(graph)
    boxes = [
        Box(x=x + shift, y=bands[layer][0], width=width, height=height)
        for x, layer, (width, height) in zip(left, graph.layer, graph.sizes, strict=True)
    ]
    return Layout(
        width=max(box.x + box.width for box in boxes) + _MARGIN,
        height=bottom,
        boxes=boxes[: len(sizes)],
        labels=[label and boxes[path[1]] for label, path in zip(labels, graph.paths, strict=True)],
        routes=[
            _route(edge, path, [bands[graph.layer[node]] for node in path], boxes, port)
            for edge, path, port in zip(edges, graph.paths, _ports(graph, boxes), strict=True)
        ],
        joins=[path[-1] != edge.target for edge, path in zip(edges, graph.paths, strict=True)],
    )


def _transpose(layout: Layout) -> Layout:
    return Layout(
        width=layout.height,
        height=layout.width,
        boxes=[box.transpose() for box in layout.boxes],
        labels=[box and box.transpose() for box in layout.labels],
        routes=[[tuple((y, x) for x, y in step) for step in route] for route in layout.routes],
        joins=layout.joins,
        sideways=True,
    )


def _bands(graph: LayeredGraph) -> tuple[list[Point], float]:
    """Return top and bottom of each layer, and the bottom of all; wide edges widen the gaps."""
    spans = [0.0] * (len(graph.layers) + 1)
    for sides, offset in ((graph.above, 0), (graph.below, 1)):
        for node, others in enumerate(sides):
            gap = graph.layer[node] + offset
            spans[gap] = max([spans[gap], *(abs(graph.x[node] - graph.x[o]) for o in others)])
    bands = []
    y = max(_MARGIN, _gap(spans[0]))
    for layer, span in zip(graph.layers, spans[1:], strict=True):
        bottom = y + max(graph.sizes[node][1] for node in layer)
        bands.append((y, bottom))
        y = bottom + _gap(span)
    return bands, bands[-1][1] + max(_MARGIN, _gap(spans[-1]))


def _ports(graph: LayeredGraph, boxes: Sequence[Box]) -> list[float]:
    """Return the x at which each edge leaves its source, in the order of where the edges go."""
    leaving: dict[int, list[int]] = {}
    for edge, path in enumerate(graph.paths):
        leaving.setdefault(path[0], []).append(edge)
    ports = [0.0] * len(graph.paths)
    for source, edges in leaving.items():
        edges.sort(key=lambda edge: boxes[graph.paths[edge][1]].center)
        space = min(_PORT_SPACE, 0.6 * boxes[source].width / len(edges))
        for place, edge in enumerate(edges):
            ports[edge] = boxes[source].center[0] + space * (place - (len(edges) - 1) / 2)
    return ports


def _route(
    edge: Edge, path: Sequence[int], bands: Sequence[Point], boxes: Sequence[Box], port: float
) -> list[Step]:
    """Return the way from the bottom of the source through waypoints to the top of the target."""
    source, target = boxes[edge.source], boxes[edge.target]
    joins = path[-1] != edge.target
    points = [(port, source.y + source.height), (port, bands[0][1])]
    for node, (top, bottom) in zip(path[1:], bands[1:], strict=True):
        x = boxes[node].center[0]
        points += [(x, bottom), (x, top)] if edge.back else [(x, top), (x, bottom)]
    points.pop()
    if not edge.back:
        return _steps(points)
    # A back edge turns upwards below its source, and down again above its target, where it
    # arrives beside the edges from above.
    lane = points[2:] if joins else points[2:-1]
    steps = [*_steps(points[:2]), _turn(points[1], lane[0], 1), *_steps(lane)[1:]]
    if not joins:
        side = 1 if lane[-1][0] >= target.center[0] else -1
        end = (target.center[0] + side * min(_PORT_SPACE, target.width / 4), target.y)
        steps.append(_turn(lane[-1], end, -1))
    return steps


def _steps(points: Sequence[Point]) -> list[Step]:
    """Return steps through all points: lines where they are above each other, else curves."""
    steps: list[Step] = [(points[0],)]
    for (x, y), (to_x, to_y) in pairwise(points):
        middle = (y + to_y) / 2
        if abs(x - to_x) < 1:
            steps += [((to_x, to_y),)] if y != to_y else []
        else:
            steps.append(((x, middle), (to_x, middle), (to_x, to_y)))
    return steps


def _turn(start: Point, end: Point, side: int) -> Step:
    """Return a bow below (1) or above (-1) two points of one height, within the gap."""
    depth = side * _gap(abs(start[0] - end[0]))
    return ((start[0], start[1] + depth), (end[0], end[1] + depth), end)


def _gap(span: float) -> float:
    """Return the space between two layers, of which the widest edge is `span` wide."""
    return min(_MAX_GAP, _MIN_GAP + _SLOPE * span)
