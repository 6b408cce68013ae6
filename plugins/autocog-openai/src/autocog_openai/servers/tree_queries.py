"""Token trees over a server: which positions are asked for, in which order, and what comes of it.

The first position of each tree goes first, so that the server's cache of prefixes is warm for the
rest, which go out together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from autocog_core import CapabilityError, TreeQuery, TreeScores
from autocog_openai.connection.client import Connection
from autocog_openai.connection.scorer import Heard, Scorer, Wanted, merged


@dataclass(slots=True)
class _Position:
    """A position that some trees ask for, each of them perhaps more than once.

    :ivar allowed: of those that ask for the likeliest: how many, and the mask.
    """

    tokens: tuple[int, ...]
    first: bool = False
    named: set[int] = field(default_factory=set)
    tops: list[tuple[int, np.ndarray | None]] = field(default_factory=list)
    heard: Heard = field(default_factory=Heard)

    def open(self, size: int) -> Wanted | None:
        """What is still wanted; None once all is there."""
        missing = tuple(sorted(self.named - self.heard.logprobs.keys()))
        if self.heard.listed == -1:
            missing = ()
        top = 0
        for count, mask in self.tops:
            if self.heard.listed == -1 or len(self.likeliest(count, mask)) >= count:
                continue
            # Of a mask, nobody knows how far down its tokens are.
            more = count if mask is None else max(4 * count, 64, self.heard.listed * 64)
            top = -1 if more >= size else max(top, more)
            if top == -1:
                break
        return Wanted(self.tokens, missing, top) if missing or top else None

    def likeliest(self, count: int, mask: np.ndarray | None) -> list[tuple[int, float]]:
        """The likeliest that are surely so, at most `count`, likeliest first (ties: lower id)."""
        told = sorted(self.heard.logprobs.items(), key=lambda each: (-each[1], each[0]))
        if self.heard.listed >= 0:
            told = told[: self.heard.listed]
        sure = [each for each in told if each[1] > -np.inf and (mask is None or mask[each[0]])]
        return sure[:count]


def score_trees(
    connection: Connection, scorer: Scorer, queries: Sequence[TreeQuery], size: int
) -> list[TreeScores]:
    """The scores of several trees; a position that several of them share is asked for once.

    :param size: of the vocabulary.
    :raises CapabilityError: for what this server cannot tell.
    """
    positions: dict[tuple[int, ...], _Position] = {}
    trees = [_Tree(query, positions) for query in queries]
    for first in (True, False):
        group = [position for position in positions.values() if position.first is first]
        _ask_all(connection, scorer, group, size)
    seen: set[int] = set()
    return [tree.scores(seen) for tree in trees]


def _ask_all(
    connection: Connection, scorer: Scorer, positions: Sequence[_Position], size: int
) -> None:
    open_ = list(positions)
    while open_:
        asked: list[tuple[_Position, Wanted]] = []
        for position in open_:
            wanted = position.open(size)
            if wanted is None:
                continue
            plan = scorer.plan(wanted, position.heard)
            if not plan:
                raise CapabilityError(
                    _lacking(wanted), where=connection.where, hint='use strategy "text"'
                )
            asked += [(position, one) for one in plan]
        answers = connection.gather(scorer.ask, [wanted for _, wanted in asked])
        before = {id(position): _known(position) for position, _ in asked}
        for (position, _), heard in zip(asked, answers, strict=True):
            position.heard = merged(position.heard, heard)
        for position, wanted in asked:
            if _known(position) == before[id(position)]:
                raise CapabilityError(
                    _lacking(wanted), where=connection.where, hint='use strategy "text"'
                )
        open_ = list({id(position): position for position, _ in asked}.values())


def _known(position: _Position) -> tuple[int, int]:
    """Grows with every answer that tells something new."""
    return len(position.heard.logprobs), position.heard.listed


def _lacking(wanted: Wanted) -> str:
    if wanted.top:
        many = "all tokens" if wanted.top < 0 else f"the {wanted.top} likeliest tokens"
        return f"the server does not tell {many}"
    return f"the server does not tell the log-probability of {len(wanted.named)} tokens"


class _Tree:
    """One query's tree, and where in `positions` its answers are."""

    def __init__(self, query: TreeQuery, positions: dict[tuple[int, ...], _Position]) -> None:
        self._query = query
        self._at: dict[int, _Position] = {}
        prefix = tuple(map(int, query.prefix))
        paths: dict[int, tuple[int, ...]] = {-1: prefix}
        parents = query.parents.tolist()
        tokens = query.tokens.tolist()
        inner = {*parents, *query.top_at.tolist()}
        for node, (token, parent) in enumerate(zip(tokens, parents, strict=True)):
            if node in inner:
                paths[node] = (*paths[parent], token)
        for node in sorted(inner):
            position = positions.setdefault(paths[node], _Position(paths[node]))
            self._at[node] = position
        if inner:
            self._at[min(inner)].first = True
        for token, parent in zip(tokens, parents, strict=True):
            self._at[parent].named.add(token)
        for node in query.top_at.tolist():
            self._at[node].tops.append((query.top_k, query.mask))

    def scores(self, seen: set[int]) -> TreeScores:
        """The answer; `seen` holds the positions whose evaluation was counted already."""
        query = self._query
        values = [
            self._at[parent].heard.logprobs.get(token, -np.inf)
            for token, parent in zip(query.tokens.tolist(), query.parents.tolist(), strict=True)
        ]
        top_tokens = np.full((len(query.top_at), query.top_k), -1, dtype=np.int32)
        top_logprobs = np.full((len(query.top_at), query.top_k), -np.inf)
        for row, node in enumerate(query.top_at.tolist()):
            best = self._at[node].likeliest(query.top_k, query.mask)
            if best:
                top_tokens[row, : len(best)], top_logprobs[row, : len(best)] = zip(
                    *best, strict=True
                )
        fresh = {id(position): position for position in self._at.values()}
        evaluated = sum(
            position.heard.evaluated for key, position in fresh.items() if key not in seen
        )
        seen.update(fresh)
        return TreeScores(np.array(values, dtype=np.float64), top_tokens, top_logprobs, evaluated)
