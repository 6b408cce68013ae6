"""The best choices, proven by what a server has shown of the token choice tree."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from autocog_core import ChoiceRequest, ChoiceScores, TopChoice, TopChoices
from autocog_core.scoring import SCORE_FIELD_OF_NORM
from autocog_core.toolkit import BackendClient, logsumexp
from autocog_openai.choice.partial_tree import PartialTree, ScoreBounds

#: Why `prob` is None though the best choices are proven.
NOT_FOLLOWED = "choices that cannot win were not followed, so `prob` is only known within bounds"
Read = TypeVar("Read", bound=Hashable)


class TopSearch:
    """A search for the best choices of a request with `top`.

    The first two steps request one thing each, because it may be all that is needed. Then each step
    requests twice as many, so that a long search takes few of them.

    :ivar partial: what is known of the tree.
    :ivar steps: number of times that requests were sent.
    """

    def __init__(self, client: BackendClient, request: ChoiceRequest) -> None:
        assert request.top is not None
        self._request = request
        self._wanted = request.top
        self.partial = PartialTree(client, request)
        self.steps = 0

    def next_reads(self, read_for: Callable[[int], Read | None]) -> list[Read]:
        """Return what to request next, most promising first; nothing once the search has ended.

        :param read_for: returns the request that a choice needs next; None if there is none.
        """
        bounds = self.partial.bounds()
        is_deciding = ~bounds.is_finished & self._may_be_best(bounds)
        reads = self._collect(bounds, is_deciding, read_for)
        if not reads and not self._is_interval_settled(bounds):
            reads = self._collect(bounds, ~bounds.is_finished, read_for)
        self.steps += bool(reads)
        return reads

    def result(
        self, *, method: str, unknown_reason: str, nodes_read: int | None, nodes: int | None
    ) -> TopChoices:
        """Return the best choices.

        :param unknown_reason: why something that may matter is not known.
        :param nodes_read: number of positions that were read, if the method reads positions.
        :param nodes: number of positions of the whole tree.
        """
        bounds, scores = self.partial.bounds(), self.partial.scores()
        best = self._best(bounds)
        is_proven = not np.delete(self._may_be_best(bounds), best).any()
        is_exact = bool(bounds.is_finished[best].all())
        is_whole = bool(bounds.is_finished.all())
        top = [self._top_choice(bounds, scores, choice, is_whole) for choice in best]
        highest = bounds.highest.tolist()
        for choice in top:
            highest[choice.index] = max(highest[choice.index], choice.score)
        reason = "" if is_whole else NOT_FOLLOWED
        if not (is_proven and is_exact):
            reason = unknown_reason
        return TopChoices(
            top=tuple(sorted(top, key=lambda choice: (-choice.score, choice.index))),
            score_bounds=tuple(highest),
            norm=scores.norm,
            boundary=scores.boundary,
            healed_text=scores.healed_text,
            has_prefix_choices=scores.has_prefix_choices,
            proven=is_proven,
            nodes_read=nodes_read,
            nodes=nodes,
            steps=self.steps,
            entropy=scores.entropy if is_whole else None,
            margin=scores.margin if is_whole else None,
            is_at_least=self._is_at_least(bounds),
            exact=is_exact,
            method=method,
            reason=reason,
        )

    def _top_choice(
        self, bounds: ScoreBounds, scores: ChoiceScores, index: int, is_whole: bool
    ) -> TopChoice:
        score = scores.scores[index]
        is_finished = bool(bounds.is_finished[index])
        exclusive = score.exclusive_logprob if is_finished else bounds.lowest_exclusive[index]
        ranking = getattr(score, SCORE_FIELD_OF_NORM[self._request.norm])
        return TopChoice(
            index=index,
            choice=score.choice,
            tokens=score.tokens,
            token_logprobs=score.token_logprobs,
            logprob=score.logprob,
            exclusive_logprob=float(exclusive),
            mean_logprob=score.mean_logprob,
            logprob_per_byte=score.logprob_per_byte,
            pmi=None,
            score=float(exclusive if self._request.norm == "sum" else ranking),
            prob=score.prob if is_whole else None,
            prob_bounds=(score.prob, score.prob) if is_whole else self._prob_bounds(bounds, index),
        )

    def _best(self, bounds: ScoreBounds) -> list[int]:
        """Return the choices with the best lower bounds, best first."""
        indices = np.arange(len(bounds.lowest))
        best: list[int] = np.lexsort((indices, -bounds.lowest))[: self._wanted.top].tolist()
        return best

    def _may_be_best(self, bounds: ScoreBounds) -> NDArray[np.bool_]:
        """Return, for each choice, whether it is or may be one of the best: bool (choices,)."""
        best = self._best(bounds)
        last = best[-1]
        score = bounds.lowest[last]
        indices = np.arange(len(bounds.lowest))
        may_be: NDArray[np.bool_]
        may_be = (bounds.highest > score) | ((bounds.highest == score) & (indices < last))
        may_be[best] = True
        return may_be

    def _collect(
        self,
        bounds: ScoreBounds,
        is_wanted: NDArray[np.bool_],
        read_for: Callable[[int], Read | None],
    ) -> list[Read]:
        indices = np.flatnonzero(is_wanted)
        reads: dict[Read, None] = {}
        limit = max(1, 2 ** (self.steps - 1))
        for choice in indices[np.argsort(-bounds.highest[indices], kind="stable")].tolist():
            read = read_for(choice)
            if read is not None:
                reads[read] = None
                if len(reads) == limit:
                    break
        return list(reads)

    def _prob_bounds(self, bounds: ScoreBounds, index: int) -> tuple[float, float]:
        """Return the lowest and the highest share that a choice can have."""
        low, high = float(bounds.lowest[index]), float(bounds.highest[index])
        others = np.arange(len(bounds.lowest)) != index
        if self._request.norm == "sum":
            finished = logsumexp(bounds.lowest[bounds.is_finished])
            unfinished = self.partial.unfinished_mass()
            most = float(np.logaddexp(finished, math.log(unfinished) if unfinished else -math.inf))
            lowest = _share(low, most)
        else:
            lowest = _share(low, float(np.logaddexp(low, logsumexp(bounds.highest[others]))))
        highest = _share(high, float(np.logaddexp(high, logsumexp(bounds.lowest[others]))))
        return max(0.0, lowest - 1e-12), min(1.0, highest + 1e-12)

    def _is_at_least(self, bounds: ScoreBounds) -> bool | None:
        """Return whether the best choice has the probability `at_least`; None if not settled."""
        at_least = self._wanted.at_least
        if at_least is None:
            return None
        lowest, highest = self._prob_bounds(bounds, self._best(bounds)[0])
        return lowest >= at_least if lowest >= at_least or highest < at_least else None

    def _is_interval_settled(self, bounds: ScoreBounds) -> bool:
        """Whether the probabilities are known as well as is asked."""
        wanted = self._wanted
        if wanted.at_least is not None and self._is_at_least(bounds) is None:
            return False
        if wanted.within is None:
            return True
        intervals = [self._prob_bounds(bounds, index) for index in self._best(bounds)]
        return all(highest - lowest <= wanted.within for lowest, highest in intervals)


def _share(score: float, total: float) -> float:
    """Return exp(score - total); 0 if the score is -inf."""
    return 0.0 if math.isinf(score) else math.exp(min(0.0, score - total))
