"""A token choice tree of which a server has shown a part: bounds of the scores of its choices.

A token that is not known has at most the probability that the known tokens of its position leave.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autocog_core import ChoiceRequest, ChoiceScores
from autocog_core.scoring import TokenChoiceTree
from autocog_core.toolkit import BackendClient
from autocog_openai.choice.tree_positions import children_of, values_only

Float64Array = NDArray[np.float64]
#: How far the probabilities of one position may be off in all, because servers round each of them.
MAX_TOTAL_ERROR = 1e-3
#: Sums of the same numbers in another order differ by rounding. Bounds are higher by this share.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreBounds:
    """What is known of the choices, in nats: arrays of float64 (choices,).

    :ivar lowest: a lower bound of each score by the request's norm; -inf if nothing is known.
    :ivar highest: an upper bound of each score.
    :ivar lowest_exclusive: a lower bound of each `exclusive_logprob`.
    :ivar is_finished: bool (choices,), whether all that the scores of a choice need is known.
    """

    lowest: Float64Array
    highest: Float64Array
    lowest_exclusive: Float64Array
    is_finished: NDArray[np.bool_]


class PartialTree:
    """The known log-probabilities of a token choice tree.

    Nodes are numbered as in the tree's query, where the nodes of EOS come last. Node -1 is the
    base.

    :ivar query: the query of the whole tree.
    :ivar children: the nodes below each inner node.
    :ivar values: float64 (nodes,), the log-probability of each node's token; NaN if unknown.
    """

    def __init__(self, client: BackendClient, request: ChoiceRequest) -> None:
        self._client = client
        self._request = request
        self.tree = tree = TokenChoiceTree.build(client, request)
        (self.query,) = tree.to_queries()
        self.children = children_of(self.query)
        self.values = np.full(len(self.query.tokens), np.nan)
        self._unseen: dict[int, tuple[float, float]] = {}
        self.ends = tree.tree.ends.tolist()
        self._prefix_ends = [] if tree.eos else [end for end in self.ends if end in self.children]
        self._lengths = np.diff(tree.tree.path_starts) + bool(tree.eos)
        self._byte_lengths = tree.byte_lengths(client)
        needed = [self._needed_nodes(choice) for choice in range(len(self.ends))]
        self._needed = np.concatenate(needed)
        self._needed_starts = np.cumsum([0, *map(len, needed[:-1])])

    def first_unknown_node(self, choice: int) -> int | None:
        """Return the first node that a choice needs and that is not known; None if all are."""
        nodes = self._needed_nodes(choice)
        return next((node for node in nodes if math.isnan(self.values[node])), None)

    def set_unseen(self, node: int, total: float, highest: float) -> None:
        """Set what is known of the unknown children of an inner node.

        :param total: an upper bound of their total probability.
        :param highest: an upper bound of the probability of the likeliest of them.
        """
        self._unseen[node] = total, highest

    def scores(self) -> ChoiceScores:
        """Return the scores, which are right for the choices that are finished."""
        values = np.where(np.isnan(self.values), -np.inf, self.values)
        return self.tree.scores_from(self._client, self._request, [values_only(values)])

    def bounds(self) -> ScoreBounds:
        """Return what is known of the scores of all choices."""
        is_known = ~np.isnan(self.values)
        lower, upper = np.where(is_known, self.values, -np.inf), self.values.copy()
        for node, children in self.children.items():
            unknown = [child for child in children if not is_known[child]]
            if unknown:
                upper[unknown] = _log(self._unseen_of(node, 1))
        low, high = (self.tree.logprobs_from(values_only(each)) for each in (lower, upper))
        finished = np.logical_and.reduceat(is_known[self._needed], self._needed_starts)
        low_exclusive, high_exclusive = low.copy(), high.copy()
        for choice, end in enumerate(self.ends):
            if end in self.children and not self.tree.eos:
                known, unseen = self._probabilities_after(end)
                low_exclusive[choice] += _log(1 - known - unseen)
                high_exclusive[choice] += _log(1 - known)
        if self._request.norm == "sum":
            low, high = low_exclusive, high_exclusive
        else:
            divisor = self._lengths if self._request.norm == "mean" else self._byte_lengths
            low, high = low / divisor, high / divisor
        return ScoreBounds(
            lowest=low,
            highest=np.where(finished, low, high * (1 - _ROUNDING)),
            lowest_exclusive=low_exclusive,
            is_finished=finished,
        )

    def unfinished_mass(self) -> float:
        """Return the most that all unfinished choices together can have, as a probability.

        Choices below a node exclude each other, and a choice that ends there excludes them, too.
        """
        mass = 0.0
        path = self._path_probabilities()
        for node, children in self.children.items():
            unknown = int(np.isnan(self.values[children]).sum())
            if path[node + 1] == 0 or not unknown:
                continue
            known, unseen = self._probabilities_after(node)
            if node in self._prefix_ends:
                unseen = 1 - known
            elif np.isnan(self.values[self._eos_nodes(node)]).any():
                # Of several EOS tokens, some may be known.
                unseen += known
            mass += path[node + 1] * unseen
        return mass

    def _path_probabilities(self) -> list[float]:
        """Return the probability of the path to each node, from node -1 on; 0 if unknown."""
        path = [1.0]
        for value, parent in zip(self.values.tolist(), self.query.parents.tolist(), strict=True):
            path.append(0.0 if math.isnan(value) else path[parent + 1] * math.exp(value))
        return path

    def _probabilities_after(self, node: int) -> tuple[float, float]:
        """Return the total of a node's known children, and the most its unknown ones can have."""
        values = self.values[self.children[node]]
        is_known = ~np.isnan(values)
        known = min(1.0, float(np.exp(values[is_known]).sum()))
        return known, self._unseen_of(node, int((~is_known).sum()))

    def _unseen_of(self, node: int, count: int) -> float:
        """Return the most that so many unknown children of a node can have together."""
        if not count:
            return 0.0
        values = self.values[self.children[node]]
        total = 1 - float(np.exp(values[~np.isnan(values)]).sum()) + MAX_TOTAL_ERROR
        total_unseen, highest = self._unseen.get(node, (1.0, 1.0))
        return max(0.0, min(1.0, total, total_unseen, count * highest))

    def _needed_nodes(self, choice: int) -> list[int]:
        path = self.tree.tree.path(choice).tolist()
        return [*path, *(self._eos_nodes(path[-1]) or self.children.get(path[-1], []))]

    def _eos_nodes(self, end: int) -> list[int]:
        """Return the nodes of EOS after the last node of a choice; none without `suffix=EOS`."""
        if not self.tree.eos:
            return []
        return [node for node in self.children[end] if node >= len(self.tree.tree.tokens)]


def _log(probability: float) -> float:
    return math.log(probability) if probability > 0 else -math.inf
