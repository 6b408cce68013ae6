"""The best choices of a token choice tree, found and proven by reading a part of it.

Log-probabilities are not positive, so the sum of a path's first tokens bounds all choices that
begin with them. The search reads the nodes with the highest bounds first (best-first search), and
stops when no unread choice can be better than the best ones. docs/semantics.md, "The best choices",
has the bounds of each norm.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autocog_core.numerics import log1m_sum_exp, logsumexp
from autocog_core.scoring.choice_tree import TokenChoiceTree, pmi_difference
from autocog_core.scoring.leaf_order import leaf_order
from autocog_core.types.choice import Norm
from autocog_core.types.search_goal import SearchGoal
from autocog_core.types.token_tree import TreeQuery, TreeScores

Float64Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Sums of the same numbers in another order differ by rounding. Bounds are higher by this share, so
#: that they hold for the sums of the whole tree.
ROUNDING = 1e-12


class ChoiceSearch:
    """A best-first search over one token choice tree.

    Call `next_queries` and pass the engine's answers to `receive`, until there are no queries.
    Arrays of choices are in the tree's `LeafOrder`, and its nodes are numbered as there.

    :param tree: the tree.
    :param norm: the norm that ranks the choices.
    :param wanted: how many of the best choices, and when to stop.
    :param nodes_per_step: the number of nodes that one step reads.
    :param byte_lengths: int64 (choices,), the bytes of each choice's tokens, in the given order.
    :param unconditional: float64 (choices,), for the norm "pmi", the log-probabilities of the
        choices after the unconditional prompt, in the given order; None for other norms.
    :ivar order: int64 (choices,), the index of the choice at each position.
    :ivar logprobs: float64 (choices,), the log-probability of each choice, or an upper bound.
    :ivar exclusive: float64 (choices,), `exclusive_logprob`, or an upper bound.
    :ivar scores: float64 (choices,), the score by the norm, or an upper bound.
    :ivar is_finished: bool (choices,), whether these are the numbers themselves.
    :ivar byte_lengths: int64 (choices,), the bytes of each choice's tokens.
    :ivar has_prefix_choices: see `ChoiceScores`.
    :ivar nodes: number of nodes that the whole tree reads.
    :ivar nodes_read: number of nodes that were read.
    :ivar steps: number of calls so far.
    :ivar tokens_evaluated: number of tokens that the model evaluated.
    """

    def __init__(
        self,
        tree: TokenChoiceTree,
        *,
        norm: Norm,
        wanted: SearchGoal,
        nodes_per_step: int,
        byte_lengths: IntArray,
        unconditional: Float64Array | None = None,
    ) -> None:
        self._tree = tree
        self._norm = norm
        self._wanted = wanted
        self._nodes_per_step = nodes_per_step
        self._order = order = leaf_order(tree.tree)
        self.order = order.choices
        self._parents = tree.tree.parents + 1
        self._is_end = order.choice_at >= 0
        self._needs_reading = order.has_children | (self._is_end if tree.eos else False)
        count = len(order.choices)
        has_eos = bool(tree.eos)
        self._lengths = (np.diff(tree.tree.path_starts) + has_eos)[order.choices]
        self.byte_lengths = byte_lengths[order.choices]
        self._unconditional = None if unconditional is None else unconditional[order.choices]
        # Of nodes: the log-probability of the token, and of the path up to it.
        self._values = np.full(len(order.starts), np.nan)
        self._path_logprobs = np.full(len(order.starts), np.nan)
        self._path_logprobs[0] = 0.0
        self._end_values: dict[int, float] = {}
        # Of choices: upper bounds until they are finished, then the numbers themselves.
        self.logprobs = np.zeros(count)
        self.exclusive = np.zeros(count)
        self.is_finished = np.zeros(count, dtype=np.bool_)
        self.scores = np.full(count, np.inf)
        self._open = np.array([0], dtype=np.int64)
        self._is_read = np.zeros(len(order.starts), dtype=np.bool_)
        self._pending: list[int] = []
        self.has_prefix_choices = not has_eos and bool((self._is_end & order.has_children).any())
        self.nodes = int(self._needs_reading.sum())
        self.nodes_read = 0
        self.steps = 0
        self.tokens_evaluated = 0

    @property
    def is_whole(self) -> bool:
        """Whether the whole tree was read."""
        return not self._open.size

    def next_queries(self) -> list[TreeQuery]:
        """Return the queries of the next step, one for each node; none once they are not needed."""
        self._pending = self._select()
        return [self._query(node) for node in self._pending]

    def receive(self, answers: Sequence[TreeScores]) -> None:
        """Take the answers to the queries of `next_queries`."""
        self.steps += 1
        opened = []
        for node, answer in zip(self._pending, answers, strict=True):
            self.tokens_evaluated += answer.tokens_evaluated
            self.nodes_read += 1
            opened.append(self._read(node, answer.values))
        self._is_read[self._pending] = True
        candidates = np.concatenate([self._open, *opened])
        candidates = candidates[~self._is_read[candidates]]
        # Neighbors in the order of the choices, as `_reduce_below` needs them.
        self._open = candidates[np.argsort(self._order.starts[candidates], kind="stable")]
        self._update_scores()

    def token_logprobs(self, position: int) -> Float64Array:
        """Return the log-probability of each decided token of a finished choice."""
        path = self._tree.tree.path(int(self._order.choices[position])) + 1
        values = self._values[path]
        if self._tree.eos:
            values = np.append(values, self._end_values[int(path[-1])])
        return values

    def best(self) -> IntArray:
        """Return the positions of the best finished choices, best first: at most `wanted.top`."""
        finished = np.flatnonzero(self.is_finished)
        ranked = np.lexsort((self._order.choices[finished], -self.scores[finished]))
        return finished[ranked[: self._wanted.top]]

    def log_masses(self) -> tuple[float, float]:
        """Return the logs of the weights of finished choices, and of the most the others can have.

        The weight of a choice is the exponential of its score, so that `prob` is its share.
        """
        finished = logsumexp(self.scores[self.is_finished])
        return finished, logsumexp(self._open_masses()) if self._open.size else -math.inf

    def prob_bounds(self, position: int) -> tuple[float, float]:
        """Return the lowest and the highest share that a finished choice can have."""
        finished, unread = self.log_masses()
        score = float(self.scores[position])
        total = float(np.logaddexp(finished, unread))
        lowest, highest = _share(score, total, 0.0), _share(score, finished, 1.0)
        return lowest * (1 - ROUNDING), min(1.0, highest * (1 + ROUNDING))

    def is_at_least(self) -> bool | None:
        """Return whether the best choice has the probability `at_least`; None if not settled."""
        at_least = self._wanted.at_least
        lowest, highest = self.prob_bounds(int(self.best()[0]))
        if at_least is None or lowest < at_least <= highest:
            return None
        return lowest >= at_least

    # --- reading ---

    def _query(self, node: int) -> TreeQuery:
        tokens = self._tree.tree.tokens
        path: list[int] = []
        ancestor = node
        while ancestor > 0:
            path.append(int(tokens[ancestor - 1]))
            ancestor = int(self._parents[ancestor - 1])
        after = tokens[self._order.children_of(node) - 1]
        if self._tree.eos and self._is_end[node]:
            after = np.concatenate([after, np.array(self._tree.eos, dtype=np.int32)])
        return TreeQuery(
            prefix=(*self._tree.encoded.shared_ids, *reversed(path)),
            tokens=after,
            parents=np.full(len(after), -1, dtype=np.int32),
            isolated_start=self._tree.isolated_start,
        )

    def _read(self, node: int, values: Float64Array) -> IntArray:
        """Take the log-probabilities after a node; return its children that must be read, too."""
        order = self._order
        children = order.children_of(node)
        own = int(order.choice_at[node])
        child_values = np.minimum(values[: len(children)], 0.0, dtype=np.float64)
        self._values[children] = child_values
        self._path_logprobs[children] = self._path_logprobs[node] + child_values
        first = order.starts[node] + (own >= 0)
        counts = order.stops[children] - order.starts[children]
        below = slice(first, order.stops[node])
        self.logprobs[below] = np.repeat(self._path_logprobs[children], counts)
        self.exclusive[below] = self.logprobs[below]
        finished = order.choice_at[children[~self._needs_reading[children]]]
        self._finish(finished)
        if own >= 0:
            if self._tree.eos:
                end_values = np.minimum(values[len(children) :], 0.0, dtype=np.float64)
                self._end_values[node] = min(0.0, logsumexp(end_values))
            self._finish(np.array([own]))
            if not self._tree.eos and children.size:
                # In the order of nodes, as in the whole tree: sums depend on the order.
                in_order = values[: len(children)][np.argsort(children)]
                self.exclusive[own] += log1m_sum_exp(in_order)
        return children[self._needs_reading[children]]

    def _finish(self, positions: IntArray) -> None:
        """Set the log-probabilities of choices whose tokens all have one."""
        if not positions.size:
            return
        values = [self.token_logprobs(position) for position in positions.tolist()]
        starts = np.cumsum([0, *map(len, values[:-1])])
        # The same sum as in the whole tree, to the last bit.
        logprobs = np.add.reduceat(np.concatenate(values), starts)
        self.logprobs[positions] = self.exclusive[positions] = logprobs
        self.is_finished[positions] = True

    def _update_scores(self) -> None:
        unfinished = ~self.is_finished
        is_sum = self._norm == "sum"
        logprobs = self.exclusive if is_sum else self.logprobs
        logprobs = np.where(unfinished, logprobs * (1 - ROUNDING), logprobs)
        if self._norm == "mean":
            logprobs = logprobs / self._lengths
        elif self._norm == "per_byte":
            logprobs = logprobs / self.byte_lengths
        elif self._unconditional is not None:
            logprobs = pmi_difference(logprobs, self._unconditional)
        self.scores = logprobs

    # --- which nodes to read ---

    def _select(self) -> list[int]:
        """Return the nodes of the next step."""
        if not self._open.size:
            return []
        nodes = self._nodes_that_decide()
        if not nodes.size and not self._is_interval_settled():
            nodes = self._open[np.argsort(-self._open_masses(), kind="stable")]
        if not nodes.size:
            return []
        return self._fill_step(nodes[: self._nodes_per_step].tolist())

    def _nodes_that_decide(self) -> IntArray:
        """Return the open nodes below which one of the best choices may be, likeliest first."""
        bounds = self._max_below(np.where(self.is_finished, -np.inf, self.scores))
        best = self.best()
        nodes = self._open
        if len(best) >= min(self._wanted.top, len(self.scores)):
            last = int(best[-1])
            score, index = self.scores[last], self._order.choices[last]
            matters = bounds > score
            if (equal := bounds == score).any():
                indices = np.where(self.is_finished, np.inf, self._order.choices)
                matters |= equal & (-self._max_below(-indices) < index)
            nodes, bounds = nodes[matters], bounds[matters]
        return nodes[np.argsort(-bounds, kind="stable")]

    def _is_interval_settled(self) -> bool:
        """Whether the probabilities are known as well as is asked."""
        wanted = self._wanted
        if wanted.at_least is not None and self.is_at_least() is None:
            return False
        if wanted.within is None:
            return True
        bounds = [self.prob_bounds(position) for position in self.best().tolist()]
        return all(highest - lowest <= wanted.within for lowest, highest in bounds)

    def _fill_step(self, nodes: list[int]) -> list[int]:
        """Add nodes below, those with the most choices first, until the step is full.

        What the model says of them is not known yet. But a step costs little more with them, and
        below a node with a single child, they are read next in any case.
        """
        order = self._order
        heap: list[tuple[int, int, int]] = []

        def add_children(node: int) -> None:
            children = order.children_of(node)
            for child in children[self._needs_reading[children]].tolist():
                count = int(order.stops[child] - order.starts[child])
                heapq.heappush(heap, (-count, int(order.starts[child]), child))

        for node in nodes:
            add_children(node)
        step = list(nodes)
        while len(step) < self._nodes_per_step and heap:
            node = heapq.heappop(heap)[2]
            step.append(node)
            add_children(node)
        # Parents before their children.
        return sorted(step)

    def _max_below(self, of_choices: Float64Array) -> Float64Array:
        """Return the maximum over the choices below each open node."""
        return self._reduce_below(np.maximum, of_choices, -np.inf)

    def _open_masses(self) -> Float64Array:
        """Return, for each open node, the log of the most that choices below it can weigh."""
        if self._norm == "sum":
            # Choices below a node exclude each other: together they have at most its probability.
            return self._path_logprobs[self._open] * (1 - ROUNDING)
        bounds = np.where(self.is_finished, -np.inf, self.scores)
        return self._reduce_below(np.logaddexp, bounds, -np.inf)

    def _reduce_below(
        self, function: np.ufunc, of_choices: Float64Array, nothing: float
    ) -> Float64Array:
        starts, stops = self._order.starts[self._open], self._order.stops[self._open]
        ranges = np.stack([starts, stops], axis=1).ravel()
        # The last range may stop at the end, which is no valid index without one more entry.
        reduced = function.reduceat(np.append(of_choices, nothing), ranges)[::2]
        return np.asarray(reduced, dtype=np.float64)


def _share(score: float, total: float, unknown: float) -> float:
    """Return exp(score - total); `unknown` if both are the same infinity."""
    if score == total and math.isinf(score):
        return unknown
    return 0.0 if math.isinf(score) else math.exp(min(0.0, score - total))
