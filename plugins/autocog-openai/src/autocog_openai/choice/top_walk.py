"""The best choices by the most likely tokens that a server lists.

A listed token has its log-probability. All others have at most that of the least listed one, and
together at most what the listed ones leave. So the best choices may be proven though not all tokens
are listed, and positions below which no choice can win are not requested.
"""

from __future__ import annotations

import math

from autocog_core import ChoiceRequest, TopChoices
from autocog_core.toolkit import BackendClient
from autocog_openai.choice.partial_tree import MAX_TOTAL_ERROR, PartialTree
from autocog_openai.choice.top_search import TopSearch
from autocog_openai.choice.tree_positions import (
    GetTopLogprobs,
    TokenNames,
    TopLogprobs,
    TreePositions,
)
from autocog_openai.routes.token_listing import MIN_REAL_LOGPROB


def walk_to_top(
    client: BackendClient,
    request: ChoiceRequest,
    get_top_logprobs: GetTopLogprobs,
    names: TokenNames,
    *,
    unlisted_reason: str,
) -> TopChoices:
    """Return the best choices of a request with `top`; see `walk_choice_tree`."""
    search = TopSearch(client, request)
    walk = _TopWalk(search.partial, names)
    while nodes := search.next_reads(walk.next_node):
        listings = get_top_logprobs([walk.positions.position(node) for node in nodes])
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

    :ivar read: the nodes of these positions.
    """

    def __init__(self, partial: PartialTree, names: TokenNames) -> None:
        self._partial = partial
        self._shared_bytes = names.shared_bytes
        self.positions = TreePositions(partial.query, names)
        self.read: set[int] = set()

    def next_node(self, choice: int) -> int | None:
        """Return the node that a choice needs next; None if it cannot be followed any further."""
        for node in self._partial.inner_nodes(choice):
            if node >= 0 and math.isnan(self._partial.values[node]):
                return None
            if node not in self.read:
                return node
        return None

    def receive(self, node: int, listing: TopLogprobs) -> None:
        """Take what the server lists after a node."""
        self.read.add(node)
        if listing is None:
            return
        for child, logprob in self.positions.find_children(node, listing).items():
            if logprob is not None and logprob >= MIN_REAL_LOGPROB:
                self._partial.values[child] = logprob
        unseen = 1 - listing.seen_probability(self._shared_bytes) + MAX_TOTAL_ERROR
        self._partial.set_unseen(
            node, unseen, listing.highest_unlisted_probability(self._shared_bytes)
        )
