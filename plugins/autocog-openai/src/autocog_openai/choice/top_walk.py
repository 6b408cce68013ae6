"""The best choices by the most likely tokens that a server lists.

A listed token has its log-probability. All others have at most that of the least listed one, and
together at most what the listed ones leave. So the best choices may be proven though not all tokens
are listed, and positions below which no choice can win are not requested.
"""

from __future__ import annotations

from dataclasses import replace

from autocog_core import ChoiceRequest, TopChoices
from autocog_core.toolkit import BackendClient
from autocog_openai.choice.partial_tree import MAX_TOTAL_ERROR, PartialTree
from autocog_openai.choice.top_search import TopSearch
from autocog_openai.choice.tree_positions import (
    GetTopLogprobs,
    Position,
    TokenNames,
    TopLogprobs,
    TreePositions,
)
from autocog_openai.routes.listed_tokens import MIN_REAL_LOGPROB


def walk_to_top(
    client: BackendClient,
    request: ChoiceRequest,
    get_top_logprobs: GetTopLogprobs,
    names: TokenNames,
    *,
    unlisted_reason: str,
    lists_all: bool,
) -> TopChoices:
    """Return the best choices of a request with `top`; see `walk_choice_tree`."""
    search = TopSearch(client, request)
    walk = _TopWalk(search.partial, names, lists_all=lists_all)
    while nodes := search.next_reads(walk.next_node):
        listings = get_top_logprobs([walk.position(node) for node in nodes])
        for node, listing in zip(nodes, listings, strict=True):
            walk.receive(node, listing)
    return search.result(
        method="top_logprobs",
        unknown_reason=unlisted_reason,
        nodes_read=len(walk.read),
        nodes=len(search.partial.children),
    )


class _TopWalk:
    """The positions of a tree that were listed.

    :param lists_all: whether the server can list all tokens. It does so only where the most likely
        ones prove nothing.
    :ivar read: the nodes of these positions.
    """

    def __init__(self, partial: PartialTree, names: TokenNames, *, lists_all: bool) -> None:
        self._partial = partial
        self._shared_bytes = names.shared_bytes
        self._positions = TreePositions(partial.query, names)
        self._lists_all = lists_all
        self._fully_read: set[int] = set()
        self.read: set[int] = set()

    def next_node(self, choice: int) -> int | None:
        """Return the node that a choice needs next; None if it cannot be followed any further."""
        unknown = self._partial.first_unknown_node(choice)
        if unknown is None:
            return None
        node = int(self._partial.query.parents[unknown])
        return None if node in self._fully_read else node

    def position(self, node: int) -> Position:
        """Return the position to request for a node."""
        position = self._positions.position(node)
        return replace(position, length="all" if node in self.read else "short")

    def receive(self, node: int, listing: TopLogprobs) -> None:
        """Take what the server lists after a node."""
        if node in self.read or listing is None or not self._lists_all:
            self._fully_read.add(node)
        self.read.add(node)
        if listing is None:
            return
        for child, logprob in self._positions.find_children(node, listing).items():
            if logprob is not None and logprob >= MIN_REAL_LOGPROB:
                self._partial.values[child] = logprob
        unseen = 1 - listing.seen_probability(self._shared_bytes) + MAX_TOTAL_ERROR
        self._partial.set_unseen(
            node, unseen, listing.highest_unlisted_probability(self._shared_bytes)
        )
