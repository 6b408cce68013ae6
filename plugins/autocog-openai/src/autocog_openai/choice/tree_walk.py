"""Choices by the likeliest tokens that a server lists: a walk down the token choice tree.

At each position the server tells the likeliest next tokens; a choice is known as long as its next
token is among them. Exact while all are; otherwise the numbers are lower bounds, and what was not
seen is added up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from autocog_core import CapabilityError, ChoiceRequest, ChoiceScores, TreeScores
from autocog_core.scoring import TokenChoiceTree
from autocog_core.toolkit import BackendClient

#: Log-probabilities by the bytes of tokens; None where a position cannot be looked at.
Listing = Mapping[bytes, float] | None


@dataclass(frozen=True, slots=True)
class Position:
    """A node of the tree at which the server is asked.

    :ivar path: the ids from the base down to it. `children`: the bytes that are looked for.
    """

    path: tuple[int, ...]
    children: frozenset[bytes]


#: What the server lists at several positions, in their order; it may tell of others besides, by
#: their paths.
Look = Callable[[Sequence[Position]], Mapping[tuple[int, ...], Listing]]


def walk(
    client: BackendClient,
    request: ChoiceRequest,
    look: Look,
    surface: Callable[[int], bytes],
    *,
    method: str,
    unseen_why: str,
) -> ChoiceScores:
    """Scores of all choices, level by level of their tree.

    :param look: asks the server; told all positions of a level at once.
    :param unseen_why: why what is missing is missing, for people.
    :raises CapabilityError: for pmi, which needs other prompts too.
    """
    if request.norm == "pmi":
        raise CapabilityError("pmi needs a server that tells named tokens", where=client.who)
    tree = TokenChoiceTree.build(client, replace(request, method=None))
    query = tree.queries()[0]
    tokens, parents = query.tokens.tolist(), query.parents.tolist()
    children: dict[int, list[int]] = {}
    for node, parent in enumerate(parents):
        children.setdefault(parent, []).append(node)
    values = np.full(len(tokens), -np.inf)
    paths: dict[int, tuple[int, ...]] = {-1: ()}
    reached: dict[int, float] = {-1: 0.0}
    unseen = 0.0
    level = [-1]
    known: dict[tuple[int, ...], Listing] = {}
    while level:
        asked = [
            Position(paths[node], frozenset(surface(tokens[child]) for child in children[node]))
            for node in level
            if paths[node] not in known
        ]
        known.update(look(asked) if asked else {})
        following: list[int] = []
        for node in level:
            listing = known.get(paths[node])
            here = float(np.exp(reached[node]))
            if listing is None:
                unseen += here
                continue
            found = {
                child: listing.get(raw) if _tells(raw := surface(tokens[child])) else None
                for child in children[node]
            }
            if None in found.values():
                rest = 1.0 - float(np.exp(list(listing.values())).sum())
                unseen += here * max(0.0, rest)
            for child, logprob in found.items():
                if logprob is None:
                    continue
                values[child] = logprob
                if child in children:
                    paths[child] = (*paths[node], tokens[child])
                    reached[child] = reached[node] + logprob
                    following.append(child)
        level = following
    scores = tree.score(client, request, [TreeScores(values, *_nothing(), 0)])
    complete = bool(np.isfinite(values).all()) and unseen == 0.0
    return replace(
        scores,
        exact=complete,
        method=method,
        reason="" if complete else unseen_why,
        unseen_probability=min(1.0, unseen),
        tokens_evaluated=None,
    )


def _tells(raw: bytes) -> bool:
    """Whether its bytes tell a token: special ones have none, parts of characters blur."""
    return bool(raw) and b"\xef\xbf\xbd" not in raw


def nothing_seen(scores: ChoiceScores) -> bool:
    """Whether no choice at all could be followed to its end."""
    return all(np.isneginf(score.logprob) for score in scores.scores)


def _nothing() -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((0, 0), dtype=np.int32), np.zeros((0, 0))
