"""A layered layout: boxes in layers, edges as smooth ways between them.

Layers go from top to bottom; from left to right where that would be too wide for a screen. Edges
bend only between layers and run straight through them, in room that was kept for them: no edge
crosses a box or a label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from autocog_core.viz.columns import centers
from autocog_core.viz.drawing import Box, Layout, Point, Route
from autocog_core.viz.layers import Layering, Link, Size, layered

_MARGIN = 30.0
_BETWEEN = 26.0
_BETWEEN_ROWS = 14.0
_GAP = 34.0
_WIDEST_GAP = 150.0
#: Of a layer's widest edge, the share that is added to the gap: flat edges are hard to follow.
_SLOPE = 0.08
_WIDEST = 2400.0


def lay_out(sizes: Sequence[Size], links: Sequence[Link]) -> Layout:
    """Place boxes of these sizes, and the links between them.

    :param sizes: of the boxes, at least one, in an order in which those of a branch stand together.
    """
    downwards = _downwards(sizes, links, _BETWEEN)
    if downwards.width <= _WIDEST:
        return downwards
    turned = _downwards(
        [size.turned() for size in sizes],
        [
            replace(link, label=None if link.label is None else link.label.turned())
            for link in links
        ],
        _BETWEEN_ROWS,
    )
    return turned.turned() if turned.height < downwards.width else downwards


def _downwards(sizes: Sequence[Size], links: Sequence[Link], between: float) -> Layout:
    """A layout from top to bottom."""
    found = layered(sizes, links)
    x = centers(found, between)
    shift = _MARGIN - min(at - size.width / 2 for at, size in zip(x, found.sizes, strict=True))
    x = [at + shift for at in x]
    bands, height = _bands(found, links, x)
    rectangles = [
        Box(at - size.width / 2, bands[layer][0], size.width, size.height)
        for at, size, layer in zip(x, found.sizes, found.layer, strict=True)
    ]
    ports = _ports(links, found.chains, rectangles)
    return Layout(
        width=max(box.x + box.width for box in rectangles) + _MARGIN,
        height=height,
        boxes=tuple(rectangles[: len(sizes)]),
        labels=tuple(
            None if link.label is None else rectangles[chain[0]]
            for link, chain in zip(links, found.chains, strict=True)
        ),
        routes=tuple(
            _route(link, chain, meets, found, rectangles, bands, port)
            for link, chain, meets, port in zip(
                links, found.chains, found.meets, ports, strict=True
            )
        ),
    )


def _bands(found: Layering, links: Sequence[Link], x: Sequence[float]) -> tuple[list[Point], float]:
    """Top and bottom of each layer, and the height of all; wide edges make the gaps wider."""
    spans = [0.0] * (len(found.layers) + 1)
    for upper, others in enumerate(found.below):
        for lower in others:
            gap = found.layer[lower]
            spans[gap] = max(spans[gap], abs(x[upper] - x[lower]))
    for link, chain, meets in zip(links, found.chains, found.meets, strict=True):
        if link.back:
            turns = [(link.source, chain[0], 1)]
            turns += [] if meets else [(link.target, chain[-1], 0)]
            for end, lane, below in turns:
                gap = found.layer[end] + below
                spans[gap] = max(spans[gap], abs(x[end] - x[lane]))
    bands = []
    y = max(_MARGIN, _gap(spans[0]))
    for number, layer in enumerate(found.layers):
        bottom = y + max(found.sizes[each].height for each in layer)
        bands.append((y, bottom))
        y = bottom + _gap(spans[number + 1])
    return bands, bands[-1][1] + max(_MARGIN, _gap(spans[-1]))


def _ports(
    links: Sequence[Link], chains: Sequence[Sequence[int]], rectangles: Sequence[Box]
) -> list[float]:
    """Where each link leaves its source: side by side, in the order of where they go."""
    leaving: dict[int, list[int]] = {}
    for number, link in enumerate(links):
        leaving.setdefault(link.source, []).append(number)
    ports = [0.0] * len(links)
    for source, numbers in leaving.items():
        box = rectangles[source]
        numbers.sort(
            key=lambda number: rectangles[[*chains[number], links[number].target][0]].center
        )
        between = min(24.0, 0.6 * box.width / len(numbers))
        for place, number in enumerate(numbers):
            ports[number] = box.center + between * (place - (len(numbers) - 1) / 2)
    return ports


def _route(
    link: Link,
    chain: Sequence[int],
    meets: bool,
    found: Layering,
    rectangles: Sequence[Box],
    bands: Sequence[Point],
    port: float,
) -> Route:
    """From the bottom of the source through its stops to the top of the target."""
    source, target = rectangles[link.source], rectangles[link.target]
    start = (port, source.y + source.height)
    points = [start, (port, bands[found.layer[link.source]][1])]
    for stop in chain:
        x, (top, bottom) = rectangles[stop].center, bands[found.layer[stop]]
        points += [(x, bottom), (x, top)] if link.back else [(x, top), (x, bottom)]
    if meets:
        points.pop()
    elif not link.back:
        points.append((target.center, target.y))
    if not link.back:
        return Route(start, _steps(points), meets)
    # It turns upwards below its source and down again above its target, where it arrives beside
    # what comes from above.
    steps = [*_steps(points[:2]), _turn(points[1], points[2], 1), *_steps(points[2:])]
    if not meets:
        side = 1 if points[-1][0] >= target.center else -1
        beside = target.center + side * min(24.0, target.width / 4)
        steps.append(_turn(points[-1], (beside, target.y), -1))
    return Route(start, tuple(steps), meets)


def _steps(points: Sequence[Point]) -> tuple[tuple[Point, ...], ...]:
    """Through all points: straight where they are above each other, else in curves."""
    steps: list[tuple[Point, ...]] = []
    for (x, y), (to_x, to_y) in pairwise(points):
        if y == to_y:
            continue
        if abs(x - to_x) < 1:
            steps.append(((to_x, to_y),))
        else:
            middle = (y + to_y) / 2
            steps.append(((x, middle), (to_x, middle), (to_x, to_y)))
    return tuple(steps)


def _turn(start: Point, end: Point, side: int) -> tuple[Point, ...]:
    """A bow below (1) or above (-1) two points of one height, within the gap."""
    depth = side * _gap(abs(start[0] - end[0]))
    return ((start[0], start[1] + depth), (end[0], end[1] + depth), end)


def _gap(span: float) -> float:
    """The room between two layers, of which the widest edge is `span` wide."""
    return min(_WIDEST_GAP, _GAP + _SLOPE * span)
