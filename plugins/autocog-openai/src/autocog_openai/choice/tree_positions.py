"""The positions of a token choice tree that a server lists tokens for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from autocog_core import TreeQuery, TreeScores
from autocog_openai.routes.listed_tokens import TokenListing

#: What the server lists at a position; None if it lists nothing that could be used.
TopLogprobs = TokenListing | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A node of the tree.

    :ivar path: the ids from the root to the node.
    :ivar children: the ids and bytes of the tokens that choices continue with.
    :ivar length: how many tokens to list, where a server can list all of them: "short" (the most
        likely ones), "all", or "enough" (all if the most likely ones lack one of the children).
    """

    path: tuple[int, ...]
    children: tuple[tuple[int, bytes], ...]
    length: Literal["short", "all", "enough"] = "enough"


#: Returns what the server lists at several positions, in order.
GetTopLogprobs = Callable[[Sequence[Position]], Sequence[TopLogprobs]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenNames:
    """What identifies tokens in listings.

    :ivar token_bytes: returns the bytes of a token.
    :ivar shared_bytes: bytes that several tokens have: they identify none.
    """

    token_bytes: Callable[[int], bytes]
    shared_bytes: frozenset[bytes]

    def identity_of(self, token: int) -> tuple[int, bytes]:
        """Return the id of a token, and its bytes if they identify it."""
        # Only on demand: a server's tokenizer may need a request.
        raw = self.token_bytes(token)
        return token, b"" if raw in self.shared_bytes else raw


class TreePositions:
    """The positions of a tree's nodes; node -1 is the base.

    :ivar children: the nodes below each inner node.
    """

    def __init__(self, query: TreeQuery, names: TokenNames) -> None:
        self._tokens = query.tokens.tolist()
        self._parents = query.parents.tolist()
        self._names = names
        self.children = children_of(query)

    def position(self, node: int) -> Position:
        """Return the position of an inner node."""
        path: list[int] = []
        ancestor = node
        while ancestor >= 0:
            path.append(self._tokens[ancestor])
            ancestor = self._parents[ancestor]
        children = (self._names.identity_of(self._tokens[child]) for child in self.children[node])
        return Position(path=tuple(reversed(path)), children=tuple(children))

    def find_children(self, node: int, listing: TokenListing) -> dict[int, float | None]:
        """Return the log-probability of each child of a node; None if it is not listed."""
        return {
            child: listing.find(*self._names.identity_of(self._tokens[child]))
            for child in self.children[node]
        }


def children_of(query: TreeQuery) -> dict[int, list[int]]:
    """Return the nodes below each inner node of a tree."""
    children: dict[int, list[int]] = {}
    for node, parent in enumerate(query.parents.tolist()):
        children.setdefault(parent, []).append(node)
    return children


def values_only(values: np.ndarray) -> TreeScores:
    """Return tree scores without a listing of most likely tokens."""
    return TreeScores(
        values=values,
        top_tokens=np.zeros((0, 0), dtype=np.int32),
        top_logprobs=np.zeros((0, 0)),
        tokens_evaluated=0,
    )
