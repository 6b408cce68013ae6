"""Layered graph drawing after Sugiyama: the layer, the order and the x of every box.

Edges run between neighbouring layers only. A longer edge has a waypoint in each layer that it
passes, which keeps room for it; its label is the first one. A back edge goes from its source's
layer up to its target's. Edges to one target share waypoints: else a thousand edges to one end
would need a thousand times their length.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import fmean

from autocog_core.viz.flow import Edge

Size = tuple[float, float]
_SORTING_SWEEPS = 8
_PLACING_SWEEPS = 24
#: The pull of an edge that joins another one, compared with 1 for the others: a node stays in line
#: with its main successor, and long chains do not drift to a side.
_LIGHT = 0.00001


class LayeredGraph:
    """Boxes and, numbered after them, waypoints.

    :param sizes: widths and heights of the boxes, in flow order.
    :param edges: in the order of their sources.
    :param labels: the size of each edge's label.
    :param space: the least distance between neighbours.
    :ivar sizes: width and height of each node.
    :ivar layer: the layer of each node, from the top.
    :ivar layers: the nodes of each layer, from left to right.
    :ivar x: the middle of each node.
    :ivar paths: the nodes along each edge, up to its target or the first shared waypoint.
    :ivar above: the neighbours at each node's upper side, and their pull on it.
    :ivar below: the neighbours at its lower side.
    """

    def __init__(
        self,
        sizes: Sequence[Size],
        edges: Sequence[Edge],
        labels: Sequence[Size | None],
        space: float,
    ) -> None:
        self.sizes = list(sizes)
        self.layer = [0] * len(sizes)
        self.above: list[dict[int, float]] = [{} for _ in sizes]
        self.below: list[dict[int, float]] = [{} for _ in sizes]
        self._assign_layers(edges, labels)
        position = [float(box) for box in range(len(sizes))]
        shared: dict[tuple[int, int, bool], int] = {}
        self.paths = [
            self._add_path(edge, label, position, shared)
            for edge, label in zip(edges, labels, strict=True)
        ]
        self.layers: list[list[int]] = [[] for _ in range(max(self.layer) + 1)]
        for node in sorted(range(len(position)), key=position.__getitem__):
            self.layers[self.layer[node]].append(node)
        self.x = [0.0] * len(self.sizes)
        for layer in self.layers:
            self._place(layer, dict.fromkeys(layer, (0.0, 1.0)), space)
        self._arrange(space)

    def _assign_layers(self, edges: Sequence[Edge], labels: Sequence[Size | None]) -> None:
        """Put each box below the longest path to it; a label has its own layer."""
        lengths = [1 if label is None else 2 for label in labels]
        # Edges from actions that the first one does not reach may lead back in flow order: these
        # take another pass.
        moved = True
        while moved:
            moved = False
            for edge, length in zip(edges, lengths, strict=True):
                lowest = self.layer[edge.source] + length
                if not edge.back and self.layer[edge.target] < lowest:
                    self.layer[edge.target] = lowest
                    moved = True

    def _add_path(
        self,
        edge: Edge,
        label: Size | None,
        position: list[float],
        shared: dict[tuple[int, int, bool], int],
    ) -> list[int]:
        """Add the waypoints of an edge, and their `position` in the flow."""
        first, last = self.layer[edge.source], self.layer[edge.target]
        path = [edge.source]
        for layer in range(first, last - 1, -1) if edge.back else range(first + 1, last):
            key = (layer, edge.target, edge.back)
            if label is None and key in shared:
                path.append(shared[key])
                break
            waypoint = len(self.sizes)
            if label is None:
                shared[key] = waypoint
            path.append(waypoint)
            self.sizes.append(label or (0, 0))
            self.layer.append(layer)
            self.above.append({})
            self.below.append({})
            # A back edge starts beside its source; others lead to the left of their target.
            position.append(edge.source + 0.5 if edge.back else edge.target - 0.5)
            label = None
        else:
            path.append(edge.target)
        pull = 1.0 if path[-1] == edge.target else _LIGHT
        for start, end in pairwise(path):
            if not edge.back:
                self.below[start][end] = self.above[end][start] = pull
            elif start == edge.source:
                self.below[start][end] = self.below[end][start] = _LIGHT
            elif end == edge.target:
                self.above[start][end] = self.above[end][start] = _LIGHT
            else:
                self.above[start][end] = self.below[end][start] = pull
        return path

    def _arrange(self, space: float) -> None:
        """Order the layers so that few edges cross, then place connected nodes above each other."""
        best, fewest = self.layers, self._crossings()
        for sweep in range(_SORTING_SWEEPS):
            self.layers = [list(layer) for layer in self.layers]
            self._sweep(sweep % 2 == 0, space, sort=True)
            crossings = self._crossings()
            if crossings < fewest:
                best, fewest = self.layers, crossings
        self.layers = best
        for sweep in range(_PLACING_SWEEPS):
            self._sweep(sweep % 2 == 0, space)

    def _crossings(self) -> int:
        """Count the pairs of segments between neighbouring layers that cross."""
        total = 0
        for upper, lower in pairwise(self.layers):
            place = {node: index for index, node in enumerate(lower)}
            passed: list[int] = []
            for node in upper:
                ends = [place[other] for other in self.below[node] if other in place]
                total += sum(len(passed) - bisect_left(passed, end + 1) for end in ends)
                for end in ends:
                    insort(passed, end)
        return total

    def _sweep(self, downwards: bool, space: float, sort: bool = False) -> None:
        """Move each layer towards the one before."""
        neighbours = self.above if downwards else self.below
        for layer in self.layers if downwards else reversed(self.layers):
            targets = {}
            for node in layer:
                pulls = neighbours[node] or {node: _LIGHT}
                weight = sum(pulls.values())
                mean = sum(self.x[other] * pull for other, pull in pulls.items()) / weight
                targets[node] = mean, weight
            if sort:
                layer.sort(key=lambda node: self._barycenter(node, neighbours[node]))
            self._place(layer, targets, space)

    def _barycenter(self, node: int, neighbours: Iterable[int]) -> float:
        """Return the mean x of the neighbours in another layer, or else of the node itself."""
        x = [self.x[other] for other in neighbours if self.layer[other] != self.layer[node]]
        return fmean(x or [self.x[node]])

    def _place(
        self, layer: Sequence[int], targets: Mapping[int, tuple[float, float]], space: float
    ) -> None:
        """Move nodes near their weighted targets by least squares, in their order, without overlap.

        Minus the room that the nodes need, x must not decrease from one to the next. Groups that
        would share their mean: the pool-adjacent-violators algorithm.
        """
        offsets = [0.0]
        for left, right in pairwise(layer):
            offsets.append(offsets[-1] + (self.sizes[left][0] + self.sizes[right][0]) / 2 + space)
        groups: list[tuple[float, float, int]] = []
        for node, offset in zip(layer, offsets, strict=True):
            target, weight = targets[node]
            mean, count = target - offset, 1
            while groups and groups[-1][0] > mean:
                left_mean, left_weight, left_count = groups.pop()
                mean = (mean * weight + left_mean * left_weight) / (weight + left_weight)
                weight += left_weight
                count += left_count
            groups.append((mean, weight, count))
        means = [mean for mean, _, count in groups for _ in range(count)]
        for node, mean, offset in zip(layer, means, offsets, strict=True):
            self.x[node] = mean + offset
