"""Token trees on a server: which positions are requested, in which order.

A position that begins others is requested before them. Then the server's prefix cache contains the
prompt, and the other positions are requested at the same time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from autocog_core import CapabilityError, TreeQuery, TreeScores
from autocog_openai.connection.client import Connection
from autocog_openai.connection.scorer import PositionAnswer, PositionRequest, Scorer, merge_answers


@dataclass(slots=True, kw_only=True)
class _Position:
    """A position that one or more trees request.

    :ivar is_first: whether no other position of the call begins it.
    :ivar named_ids: ids whose log-probability is requested.
    :ivar tops: for each request of most likely tokens, how many, and the mask of allowed tokens.
    :ivar answer: what the server has returned so far.
    """

    tokens: tuple[int, ...]
    is_first: bool = False
    named_ids: set[int] = field(default_factory=set)
    tops: list[tuple[int, np.ndarray | None]] = field(default_factory=list)
    answer: PositionAnswer = field(default_factory=PositionAnswer)

    @property
    def progress(self) -> tuple[int, int]:
        """Changes with every answer that contains something new."""
        return len(self.answer.logprobs), self.answer.top_k

    def missing(self, size: int) -> PositionRequest | None:
        """Return what is still missing; None if everything is there.

        :param size: the vocabulary size.
        """
        named_ids = tuple(sorted(self.named_ids - self.answer.logprobs.keys()))
        top_k = 0
        # What a listing of all tokens lacks cannot be listed. It can be named.
        for count, mask in self.tops if self.answer.top_k >= 0 else ():
            if len(self.most_likely(count, mask)) >= count:
                continue
            # It is unknown how far down the listing the tokens of a mask are.
            needed = count if mask is None else max(4 * count, 64, self.answer.top_k * 64)
            if needed >= size:
                top_k = -1
                break
            top_k = max(top_k, needed)
        if not named_ids and not top_k:
            return None
        return PositionRequest(tokens=self.tokens, named_ids=named_ids, top_k=top_k)

    def most_likely(self, count: int, mask: np.ndarray | None) -> list[tuple[int, float]]:
        """Return the tokens that are surely the most likely ones (ties: the lower id)."""
        ranked = sorted(self.answer.logprobs.items(), key=lambda item: (-item[1], item[0]))
        if self.answer.top_k >= 0:
            ranked = ranked[: self.answer.top_k]
        allowed = [
            (token, logprob)
            for token, logprob in ranked
            if logprob > -np.inf and (mask is None or mask[token])
        ]
        return allowed[:count]


def score_trees(
    connection: Connection, scorer: Scorer, queries: Sequence[TreeQuery], size: int
) -> list[TreeScores]:
    """Return the scores of several trees. A position that trees share is requested once.

    :param size: the vocabulary size.
    :raises CapabilityError: if the server cannot return what a query needs.
    """
    positions: dict[tuple[int, ...], _Position] = {}
    trees = [_Tree(query, positions) for query in queries]
    _mark_first(positions)
    for is_first in (True, False):
        group = [position for position in positions.values() if position.is_first is is_first]
        _request_all(connection, scorer, group, size)
    counted: set[int] = set()
    return [tree.scores(counted) for tree in trees]


def _mark_first(positions: Mapping[tuple[int, ...], _Position]) -> None:
    """Mark the positions that no other one begins."""
    # In this order, those that begin a position come directly before it, the longest one last.
    beginnings: list[tuple[int, ...]] = []
    for tokens in sorted(positions):
        while beginnings and tokens[: len(beginnings[-1])] != beginnings[-1]:
            beginnings.pop()
        positions[tokens].is_first = not beginnings
        beginnings.append(tokens)


def _request_all(
    connection: Connection, scorer: Scorer, positions: Sequence[_Position], size: int
) -> None:
    """Request the positions in rounds, until nothing is missing."""
    while positions:
        missing = [
            (position, request)
            for position in positions
            if (request := position.missing(size)) is not None
        ]
        planned: list[tuple[_Position, PositionRequest]] = []
        for position, request in missing:
            plan = scorer.plan(request, position.answer)
            if not plan:
                raise _unsupported(request, connection.where)
            planned += [(position, part) for part in plan]
        answers = connection.map_concurrently(scorer.request, [part for _, part in planned])
        before = [position.progress for position, _ in missing]
        for (position, _), answer in zip(planned, answers, strict=True):
            position.answer = merge_answers(position.answer, answer)
        for (position, request), progress in zip(missing, before, strict=True):
            if position.progress == progress:
                raise _unsupported(request, connection.where)
        positions = [position for position, _ in missing]


def _unsupported(request: PositionRequest, where: str) -> CapabilityError:
    if request.top_k:
        requested = "all tokens" if request.top_k < 0 else f"the {request.top_k} most likely tokens"
    else:
        requested = f"{len(request.named_ids)} named tokens"
    return CapabilityError(
        f"the server does not return the log-probabilities of {requested}",
        where=where,
        hint='use strategy "text"',
    )


class _Tree:
    """The tree of one query, and its positions."""

    def __init__(self, query: TreeQuery, positions: dict[tuple[int, ...], _Position]) -> None:
        self._query = query
        self._position_of: dict[int, _Position] = {}
        parents, tokens = query.parents.tolist(), query.tokens.tolist()
        paths: dict[int, tuple[int, ...]] = {-1: tuple(map(int, query.prefix))}
        inner = {*parents, *query.top_at.tolist()}
        for node, (token, parent) in enumerate(zip(tokens, parents, strict=True)):
            if node in inner:
                paths[node] = (*paths[parent], token)
        for node in sorted(inner):
            position = positions.setdefault(paths[node], _Position(tokens=paths[node]))
            self._position_of[node] = position
        for token, parent in zip(tokens, parents, strict=True):
            self._position_of[parent].named_ids.add(token)
        for node in query.top_at.tolist():
            self._position_of[node].tops.append((query.top_k, query.mask))

    def scores(self, counted: set[int]) -> TreeScores:
        """Return the scores.

        :param counted: the positions whose evaluated tokens were already counted. Updated.
        """
        query = self._query
        values = [
            self._position_of[parent].answer.logprobs[token]
            for token, parent in zip(query.tokens.tolist(), query.parents.tolist(), strict=True)
        ]
        top_tokens = np.full((len(query.top_at), query.top_k), -1, dtype=np.int32)
        top_logprobs = np.full((len(query.top_at), query.top_k), -np.inf)
        for row, node in enumerate(query.top_at.tolist()):
            best = self._position_of[node].most_likely(query.top_k, query.mask)
            if best:
                top_tokens[row, : len(best)], top_logprobs[row, : len(best)] = zip(
                    *best, strict=True
                )
        positions = {id(position): position for position in self._position_of.values()}
        evaluated = sum(
            position.answer.tokens_evaluated
            for key, position in positions.items()
            if key not in counted
        )
        counted.update(positions)
        return TreeScores(
            values=np.array(values, dtype=np.float64),
            top_tokens=top_tokens,
            top_logprobs=top_logprobs,
            tokens_evaluated=evaluated,
        )
