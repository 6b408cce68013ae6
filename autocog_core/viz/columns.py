"""Where the boxes and stops of each layer stand from left to right."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from autocog_core.viz.layers import Layering, effort

_ROUNDS = 12
_SETTLED = 0.5
_LIGHT = 0.01


def centers(found: Layering, between: float) -> list[float]:
    """The x of each box and stop, so that those joined are near each other and none overlap.

    :param between: the room between neighbours.
    """
    x = [0.0] * len(found.sizes)
    for layer in found.layers:
        _place(layer, found, between, x, [0.0] * len(layer), [1.0] * len(layer))
    for _ in range(effort(_ROUNDS, len(found.sizes))):
        before = list(x)
        for layer in found.layers:
            _toward(found.above, layer, found, between, x)
        for layer in reversed(found.layers):
            _toward(found.below, layer, found, between, x)
        if all(abs(new - old) < _SETTLED for new, old in zip(x, before, strict=True)):
            break
    return x


def _toward(
    joined: Sequence[Sequence[int]],
    layer: Sequence[int],
    found: Layering,
    between: float,
    x: list[float],
) -> None:
    """Move a layer towards what it is joined with.

    Weights are numbers of edges, so that a fork and the join below it have one middle: else long
    chains of them drift to a side. For the same reason an edge that meets another one is drawn to
    it and to its own ends, and neither draws nor pushes them.
    """
    wanted, weights = [], []
    for number in layer:
        light = number in found.light
        own = [
            other
            for other in joined[number]
            if (light or other not in found.light) and (number, other) not in found.met
        ]
        pulls = [other for other in own if not light and (other, number) not in found.met]
        weights.append(len(pulls) or _LIGHT)
        if not own and number in found.beside:
            own = [found.beside[number]]
        wanted.append(sum(x[other] for other in own) / len(own) if own else x[number])
    _place(layer, found, between, x, wanted, weights)


def _place(
    layer: Sequence[int],
    found: Layering,
    between: float,
    x: list[float],
    wanted: Sequence[float],
    weights: Sequence[float],
) -> None:
    """As near to what is wanted as order and widths allow, by least squares.

    With the room that each needs taken off, the places need only not decrease: groups that would
    are put at their weighted mean, the pool-adjacent-violators algorithm.
    """
    offsets = [0.0]
    for left, right in pairwise(layer):
        widths = found.sizes[left].width + found.sizes[right].width
        offsets.append(offsets[-1] + widths / 2 + between)
    groups: list[tuple[float, float, int]] = []
    for place, weight, offset in zip(wanted, weights, offsets, strict=True):
        mean, total, count = place - offset, weight, 1
        while groups and groups[-1][0] > mean:
            other, weight_before, members = groups.pop()
            mean = (mean * total + other * weight_before) / (total + weight_before)
            total += weight_before
            count += members
        groups.append((mean, total, count))
    places = [mean for mean, _, count in groups for _ in range(count)]
    for number, place, offset in zip(layer, places, offsets, strict=True):
        x[number] = place + offset
