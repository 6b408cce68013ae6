"""Choices by the most likely tokens that a server lists: a walk through the token choice tree.

At each position the server lists the most likely next tokens. A choice can be followed while its
next token is listed. If all tokens are listed, the scores are exact. Otherwise they are lower
bounds, and the walk adds up the probability of what was not listed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from autocog_core import CapabilityError, ChoiceRequest, ChoiceScores, TreeScores
from autocog_core.scoring import TokenChoiceTree
from autocog_core.toolkit import BackendClient

#: Log-probabilities by the bytes of tokens; None if the server lists none at a position.
TopLogprobs = Mapping[bytes, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A node of the tree.

    :ivar path: the ids from the root to the node.
    :ivar children: the bytes of the tokens that choices continue with.
    """

    path: tuple[int, ...]
    children: frozenset[bytes]


#: Returns what the server lists at several positions, in order.
GetTopLogprobs = Callable[[Sequence[Position]], Sequence[TopLogprobs]]


def walk_choice_tree(
    client: BackendClient,
    request: ChoiceRequest,
    get_top_logprobs: GetTopLogprobs,
    token_bytes: Callable[[int], bytes],
    *,
    unlisted_reason: str,
) -> ChoiceScores:
    """Return the scores of all choices.

    :param get_top_logprobs: requests the listings of all positions at one level of the tree.
    :param token_bytes: returns the bytes of a token.
    :param unlisted_reason: `reason` of the result if a token is not listed.
    :raises CapabilityError: for the norm "pmi", which needs another prompt too.
    """
    if request.norm == "pmi":
        raise CapabilityError(
            "pmi needs a server that returns log-probabilities of named tokens", where=client.who
        )
    tree = TokenChoiceTree.build(client, replace(request, method=None))
    query = tree.queries()[0]
    tokens = query.tokens.tolist()
    children: dict[int, list[int]] = {}
    for node, parent in enumerate(query.parents.tolist()):
        children.setdefault(parent, []).append(node)
    values = np.full(len(tokens), -np.inf)
    paths: dict[int, tuple[int, ...]] = {-1: ()}
    path_logprobs: dict[int, float] = {-1: 0.0}
    unseen = 0.0
    level = [-1]
    while level:
        positions = [
            Position(
                path=paths[node],
                children=frozenset(token_bytes(tokens[child]) for child in children[node]),
            )
            for node in level
        ]
        next_level: list[int] = []
        for node, listing in zip(level, get_top_logprobs(positions), strict=True):
            node_probability = float(np.exp(path_logprobs[node]))
            if listing is None:
                unseen += node_probability
                continue
            logprobs = {
                child: _find_logprob(listing, token_bytes(tokens[child]))
                for child in children[node]
            }
            if None in logprobs.values():
                unlisted = 1.0 - float(np.exp(list(listing.values())).sum())
                unseen += node_probability * max(0.0, unlisted)
            for child, logprob in logprobs.items():
                if logprob is None:
                    continue
                values[child] = logprob
                if child in children:
                    paths[child] = (*paths[node], tokens[child])
                    path_logprobs[child] = path_logprobs[node] + logprob
                    next_level.append(child)
        level = next_level
    scores = tree.score(client, request, [values_only(values)])
    is_exact = bool(np.isfinite(values).all()) and unseen == 0.0
    return replace(
        scores,
        exact=is_exact,
        method="top_logprobs",
        reason="" if is_exact else unlisted_reason,
        unseen_probability=min(1.0, unseen),
        tokens_evaluated=None,
    )


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


def _find_logprob(listing: Mapping[bytes, float], raw: bytes) -> float | None:
    """Return a token's log-probability; None if it is not listed, or if bytes do not identify it.

    Special tokens have no bytes, and incomplete characters are listed as U+FFFD.
    """
    identifies = raw and b"\xef\xbf\xbd" not in raw
    return listing.get(raw) if identifies else None
