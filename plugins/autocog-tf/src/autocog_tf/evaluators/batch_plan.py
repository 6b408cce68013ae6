"""Plan the forwards of a forest: all nodes in one row, or one row for each query.

In one row, every token is masked from all tokens that are not its ancestors, and attention costs
the square of the row's length. In several rows, each query attends only to its own tokens. But the
rows are padded to the longest one, and each row copies the keys and values that it continues. The
cheaper plan depends on model, device and queries, so the cost of both is estimated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from autocog_core.toolkit import PrefixForest

#: The rows of one forward, each a list of forest nodes, parents before their children.
Step = list[list[int]]

#: Cached nodes of no use to a call that are tolerated before a tree is copied or compacted.
MAX_UNUSED_NODES = 512
#: Marks a subtree that several queries need.
SHARED = -1
#: The fixed cost of a forward. On a CPU: to read the weights, which takes as long as this many
#: tokens. Elsewhere: to launch kernels, in operations that the device could do meanwhile.
FORWARD_TOKENS = 30
FORWARD_FLOPS = 4e12
#: Operations in the time in which attention reads or copies one byte, by type of device.
FLOPS_PER_BYTE = {"cpu": 4}
DEFAULT_FLOPS_PER_BYTE = 100
#: Speed of masked attention relative to plain matrix products, by type of device.
ATTENTION_SPEED = {"cpu": 1.0}
DEFAULT_ATTENTION_SPEED = 0.3
#: Several rows are considered only if attention is at least this part of the cost of one row.
MIN_ESTIMATED_GAIN = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class CostModel:
    """Estimated costs of a forward, in floating-point operations or the equivalent time.

    :ivar token: one token through all weights.
    :ivar pair: one token that attends to another.
    :ivar copy: the keys and values of one token, copied for one row.
    :ivar forward: the fixed cost of a forward.
    """

    token: float
    pair: float
    copy: float
    forward: float

    @classmethod
    def for_model(cls, model: Any, config: Any, device: torch.device) -> CostModel:
        """Return rough estimates for a model; only their ratios matter.

        :param model: the model.
        :param config: the config of its text part.
        :param device: the device that computes.
        """
        embedding = getattr(model.get_input_embeddings(), "weight", None)
        weights = sum(parameter.numel() for parameter in model.parameters())
        weights -= 0 if embedding is None else embedding.numel()
        layers, heads = config.num_hidden_layers, config.num_attention_heads
        width = getattr(config, "head_dim", None) or config.hidden_size // heads
        bytes_per_value = torch.finfo(model.dtype).bits // 8
        rate = FLOPS_PER_BYTE.get(device.type, DEFAULT_FLOPS_PER_BYTE)
        attention_speed = ATTENTION_SPEED.get(device.type, DEFAULT_ATTENTION_SPEED)
        token = 2.0 * max(1, weights)
        return cls(
            token=token,
            pair=4.0 * layers * heads * width / attention_speed,
            # Keys and values, read and written.
            copy=4.0 * layers * heads * width * bytes_per_value * rate,
            forward=token * FORWARD_TOKENS if device.type == "cpu" else FORWARD_FLOPS,
        )

    def forward_cost(self, rows: int, columns: int, past: int) -> float:
        """Return the cost of one forward of (rows, columns), where each row continues `past`."""
        pairs = rows * columns * (past + columns)
        copies = rows * past if rows > 1 else 0
        tokens = rows * columns
        return self.forward + tokens * self.token + pairs * self.pair + copies * self.copy


#: Several queries always get one row each: everything is free.
ALWAYS_BATCH_ROWS = CostModel(token=0.0, pair=0.0, copy=0.0, forward=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one forward.

    :ivar row_tokens: largest number of tokens in one row.
    :ivar batch_tokens: largest number of tokens in several rows, with padding.
    :ivar outputs: largest number of distributions.
    """

    row_tokens: int
    batch_tokens: int
    outputs: int


class BatchPlanner:
    """Plans the forwards of one forest.

    :param forest: the nodes of all queries.
    :param cache_slots: int64 (nodes,), the cached tree's node for each forest node, or -1.
    :param cached: number of nodes in the cached tree.
    :param limits: limits of one forward.
    """

    def __init__(
        self, forest: PrefixForest, cache_slots: NDArray[np.int64], cached: int, limits: Limits
    ) -> None:
        self._forest = forest
        self._is_new = (cache_slots < 0).tolist()
        self._cached = cached
        self._limits = limits

    def plan(self, cost_model: CostModel | None) -> list[Step]:
        """Return the forwards in order; None: each has a single row."""
        single_rows = self._plan_single_rows()
        if cost_model is None or len(self._forest.evaluated) == 1:
            return single_rows
        cost = self._cost_of_single_rows(single_rows, cost_model)
        # Several rows save attention only. Single tokens after short texts have little of it.
        pairs = sum(len(row) * (self._cached + len(row)) for (row,) in single_rows)
        if (
            cost_model is not ALWAYS_BATCH_ROWS
            and pairs * cost_model.pair < MIN_ESTIMATED_GAIN * cost
        ):
            return single_rows
        several_rows, other_cost = self._plan_several_rows(cost_model)
        if cost_model is ALWAYS_BATCH_ROWS or other_cost < cost:
            return several_rows
        return single_rows

    def _plan_single_rows(self) -> list[Step]:
        forest = self._forest
        nodes = [node for node in range(len(forest)) if self._is_new[node]]
        if len(nodes) > self._limits.row_tokens:
            nodes = [node for node in forest.depth_first() if self._is_new[node]]
        # Cached nodes that need logits are evaluated again: their logits are not cached.
        again = [
            node
            for node, needs_row in enumerate(forest.needs_row)
            if needs_row and not self._is_new[node]
        ]
        return self._split(nodes + again)

    def _split(self, nodes: Sequence[int]) -> list[Step]:
        """Return forwards of one row, as long as the limits allow, new nodes first."""
        steps: list[Step] = []
        row: list[int] = []
        outputs = 0
        for node in sorted(nodes, key=lambda node: not self._is_new[node]):
            outputs += self._forest.needs_row[node]
            if len(row) == self._limits.row_tokens or outputs > self._limits.outputs:
                steps.append([row])
                row, outputs = [], int(self._forest.needs_row[node])
            row.append(node)
        return [*steps, [row]] if row else steps

    def _cost_of_single_rows(self, steps: Sequence[Step], cost_model: CostModel) -> float:
        # Beyond the tolerance, nodes of no use to a step are dropped before it.
        before, total = 0, 0.0
        for (row,) in steps:
            past = self._cached + min(before, MAX_UNUSED_NODES)
            total += cost_model.forward_cost(1, len(row), past)
            before += len(row)
        return total

    def _plan_several_rows(self, cost_model: CostModel) -> tuple[list[Step], float]:
        """Return forwards with one row per query, after the nodes that are shared; and the cost."""
        shared, rows, shared_above = self._divide()
        repeated = sum(map(len, shared_above)) - len(shared)
        steps: list[Step] = []
        if repeated * cost_model.token <= cost_model.forward:
            # Little is shared: to evaluate it in every row costs less than a separate forward.
            rows = [above + row for above, row in zip(shared_above, rows, strict=True)]
        else:
            steps = self._split(shared)
        total = self._cost_of_single_rows(steps, cost_model)
        cached = self._cached + sum(len(row) for (row,) in steps)
        evaluated: set[int] = set()
        for full_rows in self._group_by_length(rows, cost_model):
            # An earlier forward may have evaluated some of the nodes.
            group = [[node for node in row if node not in evaluated] for row in full_rows]
            evaluated.update(node for row in group for node in row)
            if len(group) == 1:
                single_rows = self._split(group[0])
                total += sum(cost_model.forward_cost(1, len(row), cached) for (row,) in single_rows)
                steps += single_rows
            else:
                past = max(self._max_depth_above(row) for row in group)
                total += cost_model.forward_cost(len(group), max(map(len, group)), past)
                steps.append(group)
        return steps, total

    def _divide(self) -> tuple[list[int], list[list[int]], list[list[int]]]:
        """Return the new nodes that several queries need; each query's row; the shared above it."""
        forest, is_new = self._forest, self._is_new
        # The only query that needs a node and its subtree, or SHARED.
        owners = list(forest.first_query)
        for node in range(len(forest) - 1, 0, -1):
            parent = forest.parents[node]
            if parent >= 0 and owners[node] != owners[parent]:
                owners[parent] = SHARED
        shared: list[int] = []
        rows: dict[int, list[int]] = {}
        shared_above: dict[int, set[int]] = {}
        for node, owner in enumerate(owners):
            if is_new[node] and owner == SHARED:
                shared.append(node)
            elif is_new[node] or forest.needs_row[node]:
                # The query that first needed a cached node evaluates it again.
                owner = forest.first_query[node]
                rows.setdefault(owner, []).append(node)
                above = shared_above.setdefault(owner, set())
                parent = forest.parents[node]
                while parent >= 0 and is_new[parent] and owners[parent] == SHARED:
                    if parent in above:
                        break
                    above.add(parent)
                    parent = forest.parents[parent]
        return shared, list(rows.values()), [sorted(above) for above in shared_above.values()]

    def _group_by_length(self, rows: Sequence[list[int]], cost_model: CostModel) -> list[Step]:
        """Return groups of rows of similar length, longest first."""
        limits, forest = self._limits, self._forest
        groups: list[Step] = []
        padding = max_outputs = 0
        for row in sorted(rows, key=len, reverse=True):
            outputs = sum(forest.needs_row[node] for node in row)
            if groups:
                length = len(groups[-1][0])
                padding += length - len(row)
                max_outputs = max(max_outputs, outputs)
                count = len(groups[-1]) + 1
                if (
                    count * length <= limits.batch_tokens
                    and count * max_outputs <= limits.outputs
                    and length <= limits.row_tokens
                    and padding * cost_model.token <= cost_model.forward
                ):
                    groups[-1].append(row)
                    continue
            groups.append([row])
            padding, max_outputs = 0, outputs
        return groups

    def _max_depth_above(self, row: Sequence[int]) -> int:
        """Return the largest number of tokens that a row continues."""
        parents = {self._forest.parents[node] for node in row} - set(row)
        return max(len(self._forest.path_to(parent)) for parent in parents) if parents else 0
