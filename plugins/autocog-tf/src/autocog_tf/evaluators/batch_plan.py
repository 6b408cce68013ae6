"""How the work of a forest is laid out in forwards: all in one row, or rows side by side.

In one row every token is masked from all that it does not continue, and attention still costs the
square of the whole. Rows side by side, one for each query, attend to their own alone; they are
padded to the longest, and each brings its own copy of the keys and values that it continues. What
is cheaper depends on model, device and work: it is estimated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from autocog_core.toolkit import PrefixForest

#: The rows of one forward, each a list of a forest's nodes, parents before their children.
Step = list[list[int]]

#: Nodes that may be in the way (kept, of no use to a call) before a tree is copied or compacted.
MAX_PADDING_TOKENS = 512
#: A subtree that several queries need something of.
SHARED = -1
#: What a forward costs beyond its tokens: on a CPU as reading the weights, about as many tokens;
#: elsewhere its launches, in operations that would be done meanwhile.
FORWARD_TOKENS = 30
FORWARD_FLOPS = 4e12
#: Operations in the time of one byte that attention reads and copies, by kind of device.
FLOPS_PER_BYTE = {"cpu": 4}
DEFAULT_FLOPS_PER_BYTE = 100
#: Masked attention does this part of the operations that plain products do in the same time, by
#: kind of device.
ATTENTION_SPEED = {"cpu": 1.0}
DEFAULT_ATTENTION_SPEED = 0.3
#: The least part of a forward that rows of their own must be able to save, to be looked into.
MIN_ESTIMATED_GAIN = 0.05


@dataclass(frozen=True, slots=True)
class CostModel:
    """What forwards cost, in floating-point operations or what takes as long.

    :ivar token: a token in all weights. `pair`: a token that looks at another.
    :ivar copy: a token's keys and values, copied for one row. `forward`: a forward of any size.
    """

    token: float
    pair: float
    copy: float
    forward: float

    @classmethod
    def of(cls, model: Any, config: Any, device: torch.device) -> CostModel:
        """Estimates for a model: only their ratios matter, and roughly."""
        embedding = getattr(model.get_input_embeddings(), "weight", None)
        weights = sum(parameter.numel() for parameter in model.parameters())
        weights -= 0 if embedding is None else embedding.numel()
        layers, heads = config.num_hidden_layers, config.num_attention_heads
        width = getattr(config, "head_dim", None) or config.hidden_size // heads
        size = torch.finfo(model.dtype).bits // 8
        rate = FLOPS_PER_BYTE.get(device.type, DEFAULT_FLOPS_PER_BYTE)
        attention = ATTENTION_SPEED.get(device.type, DEFAULT_ATTENTION_SPEED)
        token = 2.0 * max(1, weights)
        return cls(
            token=token,
            pair=4.0 * layers * heads * width / attention,
            # Keys and values, read and written.
            copy=4.0 * layers * heads * width * size * rate,
            forward=token * FORWARD_TOKENS if device.type == "cpu" else FORWARD_FLOPS,
        )

    def of_step(self, rows: int, columns: int, past: int) -> float:
        """One forward of rows that each continue `past` tokens."""
        pairs = rows * columns * (past + columns)
        copies = rows * past if rows > 1 else 0
        tokens = rows * columns
        return self.forward + tokens * self.token + pairs * self.pair + copies * self.copy


#: Rows go side by side wherever there are several, whatever it costs.
NEVER_BATCH = CostModel(token=0.0, pair=0.0, copy=0.0, forward=0.0)


@dataclass(frozen=True, slots=True)
class Limits:
    """Most in one forward.

    :ivar tokens: in one row. `padded`: in several, padding included.
    :ivar wanted: distributions.
    """

    tokens: int
    padded: int
    wanted: int


class BatchPlanner:
    """Lays the work of one forest out in forwards.

    :param place: where the kept tree has each of the forest's nodes; -1 where it has not.
    :param known: how many nodes the kept tree has.
    """

    def __init__(
        self, forest: PrefixForest, place: NDArray[np.int64], known: int, limits: Limits
    ) -> None:
        self._forest = forest
        self._new = (place < 0).tolist()
        self._known = known
        self._limits = limits

    def steps(self, costs: CostModel | None) -> list[Step]:
        """The forwards, in their order; all in one row if `costs` is None."""
        together = self._together()
        if costs is None or len(self._forest.evaluated) == 1:
            return together
        cost = self._cost_together(together, costs)
        # Attention is all that can be saved; single tokens after short texts have little of it.
        pairs = sum(len(row) * (self._known + len(row)) for (row,) in together)
        if costs is not NEVER_BATCH and pairs * costs.pair < MIN_ESTIMATED_GAIN * cost:
            return together
        apart, other = self._apart(costs)
        return apart if costs is NEVER_BATCH or other < cost else together

    def _together(self) -> list[Step]:
        forest = self._forest
        new = [node for node in range(len(forest)) if self._new[node]]
        if len(new) > self._limits.tokens:
            new = [node for node in forest.depth_first() if self._new[node]]
        # Known tokens whose logits are wanted again: logits are not kept.
        again = [
            node for node, wanted in enumerate(forest.needs_row) if wanted and not self._new[node]
        ]
        return self._pieces(new + again)

    def _pieces(self, nodes: Sequence[int]) -> list[Step]:
        """One row after the other, each as long as may be, what is new before what is not."""
        found: list[Step] = []
        row: list[int] = []
        wanted = 0
        for node in sorted(nodes, key=lambda node: not self._new[node]):
            wanted += self._forest.needs_row[node]
            if len(row) == self._limits.tokens or wanted > self._limits.wanted:
                found.append([row])
                row, wanted = [], int(self._forest.needs_row[node])
            row.append(node)
        return [*found, [row]] if row else found

    def _cost_together(self, steps: Sequence[Step], costs: CostModel) -> float:
        # Beyond the slack, what is of no use to a step is dropped before it.
        before, total = 0, 0.0
        for (row,) in steps:
            total += costs.of_step(1, len(row), self._known + min(before, MAX_PADDING_TOKENS))
            before += len(row)
        return total

    def _apart(self, costs: CostModel) -> tuple[list[Step], float]:
        """A row for each query, and before them what several of them need; and the cost of all."""
        shared, rows, above = self._cut()
        twice = sum(map(len, above)) - len(shared)
        first: list[Step] = []
        if twice * costs.token <= costs.forward:
            # Little is shared: evaluating it in every row costs less than a forward of its own.
            rows = [own + row for own, row in zip(above, rows, strict=True)]
        else:
            first = self._pieces(shared)
        total = self._cost_together(first, costs)
        known = self._known + sum(len(row) for (row,) in first)
        steps = first
        done: set[int] = set()
        for longest in self._groups(rows, costs):
            # What an earlier forward evaluated is kept by now.
            group = [[node for node in row if node not in done] for row in longest]
            done.update(node for row in group for node in row)
            if len(group) == 1:
                pieces = self._pieces(group[0])
                total += sum(costs.of_step(1, len(row), known) for (row,) in pieces)
                steps += pieces
            else:
                past = max(self._depth_above(row) for row in group)
                total += costs.of_step(len(group), max(map(len, group)), past)
                steps.append(group)
        return steps, total

    def _cut(self) -> tuple[list[int], list[list[int]], list[list[int]]]:
        """New nodes that several queries need; each query's own; and those shared above these."""
        forest, new = self._forest, self._new
        # The one query that a node and all below it were made for.
        only = list(forest.first_query)
        for node in range(len(forest) - 1, 0, -1):
            parent = forest.parents[node]
            if parent >= 0 and only[node] != only[parent]:
                only[parent] = SHARED
        shared: list[int] = []
        rows: dict[int, list[int]] = {}
        above: dict[int, set[int]] = {}
        for node, owner in enumerate(only):
            if new[node] and owner == SHARED:
                shared.append(node)
            elif new[node] or forest.needs_row[node]:
                # A known node that several need is evaluated again by the one that it was made for.
                owner = forest.first_query[node]
                rows.setdefault(owner, []).append(node)
                found = above.setdefault(owner, set())
                parent = forest.parents[node]
                while parent >= 0 and new[parent] and only[parent] == SHARED:
                    if parent in found:
                        break
                    found.add(parent)
                    parent = forest.parents[parent]
        return shared, list(rows.values()), [sorted(found) for found in above.values()]

    def _groups(self, rows: Sequence[list[int]], costs: CostModel) -> list[Step]:
        """Rows of about the same length together, longest first."""
        limits, forest = self._limits, self._forest
        groups: list[Step] = []
        padding = widest = 0
        for row in sorted(rows, key=len, reverse=True):
            wanted = sum(forest.needs_row[node] for node in row)
            if groups:
                length = len(groups[-1][0])
                padding += length - len(row)
                widest = max(widest, wanted)
                count = len(groups[-1]) + 1
                if (
                    count * length <= limits.padded
                    and count * widest <= limits.wanted
                    and length <= limits.tokens
                    and padding * costs.token <= costs.forward
                ):
                    groups[-1].append(row)
                    continue
            groups.append([row])
            padding, widest = 0, wanted
        return groups

    def _depth_above(self, row: Sequence[int]) -> int:
        """How many tokens a row continues, at most."""
        inside = set(row)
        tops = {self._forest.parents[node] for node in row} - inside
        return max(len(self._forest.path_to(top)) for top in tops) if tops else 0
