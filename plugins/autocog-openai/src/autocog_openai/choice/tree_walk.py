"""Choices by the most likely tokens that a server lists: a walk through the token choice tree.

At each position the server lists the most likely next tokens. A choice can be followed while its
next token is listed. If all tokens are listed, the scores are exact. Otherwise they are lower
bounds, and the walk adds up the probability of what was not listed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from autocog_core import CapabilityError, ChoiceRequest, ChoiceScores, TreeQuery, TreeScores
from autocog_core.scoring import TokenChoiceTree
from autocog_core.toolkit import BackendClient
from autocog_openai.routes.token_listing import TokenListing

#: What the server lists at a position; None if it lists nothing that could be used.
TopLogprobs = TokenListing | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A node of the tree.

    :ivar path: the ids from the root to the node.
    :ivar children: the ids and bytes of the tokens that choices continue with.
    """

    path: tuple[int, ...]
    children: tuple[tuple[int, bytes], ...]


#: Returns what the server lists at several positions, in order.
GetTopLogprobs = Callable[[Sequence[Position]], Sequence[TopLogprobs]]


def walk_choice_tree(
    client: BackendClient,
    request: ChoiceRequest,
    get_top_logprobs: GetTopLogprobs,
    token_bytes: Callable[[int], bytes],
    *,
    shared_bytes: frozenset[bytes],
    unlisted_reason: str,
) -> ChoiceScores:
    """Return the scores of all choices.

    :param get_top_logprobs: requests the listings of all positions at one level of the tree.
    :param token_bytes: returns the bytes of a token.
    :param shared_bytes: bytes that several tokens have: they identify none in a listing.
    :param unlisted_reason: `reason` of the result if a token is not listed.
    :raises CapabilityError: for the norm "pmi", which needs another prompt too.
    """
    if request.norm == "pmi":
        raise CapabilityError(
            "pmi needs a server that returns log-probabilities of named tokens",
            where=client.model_name,
        )
    tree = TokenChoiceTree.build(client, replace(request, method=None))
    walk = _TreeWalk(tree.to_queries()[0], token_bytes, shared_bytes)
    while walk.level:
        walk.descend(get_top_logprobs(walk.positions()))
    scores = tree.scores_from(client, request, [values_only(walk.values)])
    is_exact = bool(np.isfinite(walk.values).all()) and walk.unseen == 0.0
    return replace(
        scores,
        exact=is_exact,
        method="top_logprobs",
        reason="" if is_exact else unlisted_reason,
        unseen_probability=min(1.0, walk.unseen),
        tokens_evaluated=None,
    )


class _TreeWalk:
    """A walk through a tree, level by level.

    :ivar values: float64 (n,), the log-probability of each node's token; -inf if it is not listed.
    :ivar unseen: the total probability of what was not listed.
    :ivar level: the nodes at which the listings are needed next; -1 is the root.
    """

    def __init__(
        self,
        query: TreeQuery,
        token_bytes: Callable[[int], bytes],
        shared_bytes: frozenset[bytes],
    ) -> None:
        self.values = np.full(len(query.tokens), -np.inf)
        self.unseen = 0.0
        self.level = [-1]
        self._tokens = query.tokens.tolist()
        self._token_bytes = token_bytes
        self._shared_bytes = shared_bytes
        self._children: dict[int, list[int]] = {}
        for node, parent in enumerate(query.parents.tolist()):
            self._children.setdefault(parent, []).append(node)
        self._paths: dict[int, tuple[int, ...]] = {-1: ()}
        self._path_logprobs: dict[int, float] = {-1: 0.0}

    def positions(self) -> list[Position]:
        """Return the positions of the level."""
        return [
            Position(
                path=self._paths[node],
                children=tuple(self._identity_of(child) for child in self._children[node]),
            )
            for node in self.level
        ]

    def descend(self, listings: Sequence[TopLogprobs]) -> None:
        """Go to the next level.

        :param listings: what the server lists at the positions of the level, in order.
        """
        level, self.level = self.level, []
        for node, listing in zip(level, listings, strict=True):
            probability = float(np.exp(self._path_logprobs[node]))
            if listing is None:
                self.unseen += probability
                continue
            children = self._children[node]
            logprobs = {child: listing.find(*self._identity_of(child)) for child in children}
            if None in logprobs.values():
                # What is listed without an identity may belong to the choices too.
                seen = listing.seen_probability(self._shared_bytes)
                self.unseen += probability * max(0.0, 1.0 - seen)
            for child, logprob in logprobs.items():
                if logprob is not None:
                    self._follow(node, child, logprob)

    def _identity_of(self, node: int) -> tuple[int, bytes]:
        # Only on demand: a server's tokenizer may need a request.
        token = self._tokens[node]
        raw = self._token_bytes(token)
        return token, b"" if raw in self._shared_bytes else raw

    def _follow(self, node: int, child: int, logprob: float) -> None:
        self.values[child] = logprob
        if child in self._children:
            self._paths[child] = (*self._paths[node], self._tokens[child])
            self._path_logprobs[child] = self._path_logprobs[node] + logprob
            self.level.append(child)


def no_choice_reached(scores: ChoiceScores) -> bool:
    """Whether no choice could be followed to its end."""
    return all(np.isneginf(score.logprob) for score in scores.scores)


def values_only(values: np.ndarray) -> TreeScores:
    """Return tree scores without a listing of most likely tokens."""
    return TreeScores(
        values=values,
        top_tokens=np.zeros((0, 0), dtype=np.int32),
        top_logprobs=np.zeros((0, 0)),
        tokens_evaluated=0,
    )
