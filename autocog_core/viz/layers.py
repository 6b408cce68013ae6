"""Layers of a drawing: what stands beside what, and in which order.

Edges run between neighbouring layers only. A longer one passes through a stop in each layer
between its ends, so that room is kept for it. One that leads back up has a lane of stops from its
source's layer to its target's. Edges to the same box meet and go on as one: else a thousand ways
to one end would need a thousand times their length.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

_SWEEPS = 8


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in pixels."""

    width: float
    height: float

    def turned(self) -> Size:
        """With width and height exchanged."""
        return Size(self.height, self.width)


@dataclass(frozen=True, slots=True)
class Link:
    """An edge to be drawn, between numbers of boxes.

    :ivar back: whether it closes a cycle; without these the graph must have none.
    :ivar label: the room that its label takes.
    """

    source: int
    target: int
    back: bool = False
    label: Size | None = None


@dataclass(slots=True)
class Layering:
    """Boxes and, numbered after them, the stops of edges; in layers from top to bottom.

    :ivar sizes: of boxes and stops.
    :ivar layer: the layer of each.
    :ivar chains: the stops of each link from its source on, up to where it meets another.
    :ivar meets: whether a link's last stop is another's, with which it goes on.
    :ivar above: what each is joined with in the layer above; `below` in the layer below.
    :ivar met: pairs (stop, other) of a stop and what meets others there.
    :ivar light: the own stops of links that meet others.
    :ivar beside: the box that the end of a lane should stand by.
    :ivar layers: boxes and stops in each layer, from left to right.
    """

    sizes: list[Size]
    layer: list[int]
    chains: list[list[int]] = field(default_factory=list)
    meets: list[bool] = field(default_factory=list)
    above: list[list[int]] = field(default_factory=list)
    below: list[list[int]] = field(default_factory=list)
    met: set[tuple[int, int]] = field(default_factory=set)
    light: set[int] = field(default_factory=set)
    beside: dict[int, int] = field(default_factory=dict)
    layers: list[list[int]] = field(default_factory=list)


def layered(sizes: Sequence[Size], links: Sequence[Link]) -> Layering:
    """Boxes and stops in layers, ordered so that few edges cross.

    :param sizes: of the boxes, in an order in which those of one branch stand together.
    """
    found = Layering(list(sizes), _longest_paths(len(sizes), links))
    wish = [float(number) for number in range(len(sizes))]
    _add_stops(found, links, wish)
    found.layers = [[] for _ in range(max(found.layer) + 1)]
    for number in sorted(range(len(wish)), key=wish.__getitem__):
        found.layers[found.layer[number]].append(number)
    _reorder(found)
    return found


def effort(rounds: int, size: int) -> int:
    """How often to go through a graph of that size: more than a few times only if that is quick."""
    return max(2, min(rounds, 100_000 // size))


def _longest_paths(count: int, links: Sequence[Link]) -> list[int]:
    """The layer of each box: as far down as the longest path to it; labels have their own layer."""
    layer = [0] * count
    entering = [0] * count
    leaving: list[list[Link]] = [[] for _ in range(count)]
    for link in links:
        if not link.back:
            entering[link.target] += 1
            leaving[link.source].append(link)
    ready = [number for number in range(count) if not entering[number]]
    while ready:
        source = ready.pop()
        for link in leaving[source]:
            length = 1 if link.label is None else 2
            layer[link.target] = max(layer[link.target], layer[source] + length)
            entering[link.target] -= 1
            if not entering[link.target]:
                ready.append(link.target)
    return layer


def _add_stops(found: Layering, links: Sequence[Link], wish: list[float]) -> None:
    """Stops of all links; `wish` gets where each wants to be among its layer."""
    stops: dict[tuple[int, int, bool], int] = {}
    joined: list[tuple[int, int]] = []
    for link in links:
        first, last = found.layer[link.source], found.layer[link.target]
        passed = range(first, last - 1, -1) if link.back else range(first + 1, last)
        chain = [] if link.back else [link.source]
        meets = False
        for place, layer in enumerate(passed):
            labelled = place == 0 and link.label is not None
            key = (layer, link.target, link.back)
            meets = not labelled and key in stops
            if meets:
                if chain:
                    found.met.add((stops[key], chain[-1]))
                found.light.update(chain if link.back else chain[1:])
                chain.append(stops[key])
                break
            chain.append(len(found.sizes))
            if not labelled:
                stops[key] = chain[-1]
            found.sizes.append(link.label if labelled and link.label else Size(0, 0))
            found.layer.append(layer)
            # Beside the source's branch for a lane; before the target for what leads on.
            wish.append(link.source + 0.5 if link.back else link.target - 0.5)
        joined += [ends[::-1] if link.back else ends for ends in pairwise(chain)]
        if link.back:
            found.beside[chain[0]] = link.source
            if not meets:
                found.beside.setdefault(chain[-1], link.target)
        else:
            joined += [] if meets else [(chain[-1], link.target)]
            del chain[0]
        found.chains.append(chain)
        found.meets.append(meets)
    found.above = [[] for _ in found.sizes]
    found.below = [[] for _ in found.sizes]
    for upper, lower in joined:
        found.below[upper].append(lower)
        found.above[lower].append(upper)


def _reorder(found: Layering) -> None:
    """Barycenter sweeps: each box near the middle of what it is joined with; the best is kept."""
    best, fewest = found.layers, _crossings(found, found.layers)
    layers = [list(layer) for layer in found.layers]
    for sweep in range(effort(_SWEEPS, len(found.sizes))):
        if not fewest:
            break
        downwards = sweep % 2 == 0
        joined = found.above if downwards else found.below
        place: dict[int, int] = {}
        for layer in layers if downwards else reversed(layers):
            _by_barycenter(layer, place, joined)
            place = {number: index for index, number in enumerate(layer)}
        crossings = _crossings(found, layers)
        if crossings < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    found.layers = best


def _by_barycenter(
    layer: list[int], place: dict[int, int], joined: Sequence[Sequence[int]]
) -> None:
    """Sort a layer; what is joined with nothing keeps its place."""
    middle = {
        number: sum(place[other] for other in joined[number]) / len(joined[number])
        for number in layer
        if joined[number]
    }
    slots = [index for index, number in enumerate(layer) if number in middle]
    ordered = sorted((layer[index] for index in slots), key=middle.__getitem__)
    for index, number in zip(slots, ordered, strict=True):
        layer[index] = number


def _crossings(found: Layering, layers: Sequence[Sequence[int]]) -> int:
    """How many pairs of edges between neighbouring layers cross."""
    total = 0
    for upper, lower in pairwise(layers):
        place = {number: index for index, number in enumerate(lower)}
        passed: list[int] = []
        for number in upper:
            ends = [place[other] for other in found.below[number]]
            total += sum(len(passed) - bisect_left(passed, end + 1) for end in ends)
            for end in ends:
                insort(passed, end)
    return total
