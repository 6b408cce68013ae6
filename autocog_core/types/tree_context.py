"""The ids before a node of a thought tree, put together from the tokens of the nodes before it."""

from __future__ import annotations

from collections.abc import Sequence

from autocog_core.errors import InputError
from autocog_core.types.thought_node import ThoughtNode


def context_tokens(nodes: Sequence[ThoughtNode], node: int | ThoughtNode) -> tuple[int, ...]:
    """Return the ids before a node; see `ThoughtTree.context_tokens`."""
    index = find_node(nodes, node)
    current = nodes[index]
    where = f'node {index} of action "{current.uid}"'
    if current.kind is None:
        raise InputError(
            "the tree does not say which tokens are before it: an earlier version saved it",
            where=where,
            hint="run the program again",
        )
    if not current.exact:
        raise InputError(
            f"the tokens before it are not known: {current.reason}",
            where=where,
            hint='take a model for the strategy "token_tree"',
        )
    parts = [current.tokens_before]
    while current.tokens_parent >= 0:
        current = nodes[current.tokens_parent]
        parts += [current.tokens[: current.kept_tokens], current.tokens_before]
    return tuple(token for part in reversed(parts) for token in part)


def find_node(nodes: Sequence[ThoughtNode], node: int | ThoughtNode) -> int:
    """Return the index of a node.

    :param nodes: the nodes of a tree.
    :param node: one of them, or its index.
    :raises InputError: if it is none of them.
    """
    if isinstance(node, ThoughtNode):
        # By identity: two nodes of a tree may be equal.
        for index, candidate in enumerate(nodes):
            if candidate is node:
                return index
        raise InputError("is a node of another tree", where="node")
    if not 0 <= node < len(nodes):
        raise InputError(f"the tree has {len(nodes)} nodes, and no node {node}", where="node")
    return node
