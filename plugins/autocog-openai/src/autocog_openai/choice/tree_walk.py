"""Choices by the most likely tokens that a server lists: a walk through the token choice tree.

At each position the server lists the most likely next tokens. A choice can be followed while its
next token is listed. If all tokens are listed, the scores are exact. Otherwise they are lower
bounds, and the walk adds up the probability of what was not listed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autocog_core import CapabilityError, ChoiceRequest, ChoiceScores, TopChoices, TreeQuery
from autocog_core.scoring import TokenChoiceTree
from autocog_core.toolkit import BackendClient
from autocog_openai.choice.top_walk import walk_to_top
from autocog_openai.choice.tree_positions import (
    GetTopLogprobs,
    Position,
    TokenNames,
    TopLogprobs,
    TreePositions,
    values_only,
)


def walk_choice_tree(
    client: BackendClient,
    request: ChoiceRequest,
    get_top_logprobs: GetTopLogprobs,
    names: TokenNames,
    *,
    unlisted_reason: str,
    lists_all: bool = False,
) -> ChoiceScores | TopChoices:
    """Return the scores of all choices, or the best ones if the request has `top`.

    :param get_top_logprobs: requests the listings of several positions.
    :param names: what identifies tokens in listings.
    :param unlisted_reason: `reason` of the result if a token is not listed.
    :param lists_all: whether the server can list all tokens, if a position says so.
    :raises CapabilityError: for the norm "pmi", which needs another prompt too.
    """
    if request.norm == "pmi":
        raise CapabilityError(
            "pmi needs a server that returns log-probabilities of named tokens",
            where=client.model_name,
        )
    request = replace(request, method=None)
    if request.top is not None:
        return walk_to_top(
            client,
            request,
            get_top_logprobs,
            names,
            unlisted_reason=unlisted_reason,
            lists_all=lists_all,
        )
    tree = TokenChoiceTree.build(client, request)
    (query,) = tree.to_queries()
    walk = _TreeWalk(query, names)
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

    def __init__(self, query: TreeQuery, names: TokenNames) -> None:
        self.values = np.full(len(query.tokens), -np.inf)
        self.unseen = 0.0
        self.level = [-1]
        self._positions = TreePositions(query, names)
        self._shared_bytes = names.shared_bytes
        self._path_logprobs: dict[int, float] = {-1: 0.0}

    def positions(self) -> list[Position]:
        """Return the positions of the level."""
        return [self._positions.position(node) for node in self.level]

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
            logprobs = self._positions.find_children(node, listing)
            if None in logprobs.values():
                # What is listed without an identity may belong to the choices too.
                seen = listing.seen_probability(self._shared_bytes)
                self.unseen += probability * max(0.0, 1.0 - seen)
            for child, logprob in logprobs.items():
                if logprob is not None:
                    self._follow(node, child, logprob)

    def _follow(self, node: int, child: int, logprob: float) -> None:
        self.values[child] = logprob
        if child in self._positions.children:
            self._path_logprobs[child] = self._path_logprobs[node] + logprob
            self.level.append(child)


def no_choice_reached(scores: ChoiceScores | TopChoices) -> bool:
    """Whether no choice could be followed to its end."""
    if isinstance(scores, TopChoices):
        return bool(np.isneginf(scores.best.logprob))
    return all(np.isneginf(score.logprob) for score in scores.scores)
