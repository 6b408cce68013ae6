"""The probabilities of all choices of the Choose actions on a path, by value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autocog_core.types.choice_value import Value
from autocog_core.types.record import make_record
from autocog_core.types.thought_tree import ThoughtNode, ThoughtPath, ThoughtTree


def choice_distribution(tree: ThoughtTree, index: int) -> dict[Value, float]:
    """Return the share of each choice of an action, in the order of the choices.

    :param tree: the tree.
    :param index: the index in `tree.nodes` of one of the choices, such as the one of the best path.
    :returns: the share by the choice's value; choices of one value are one entry. A share that is
        only known within bounds is left out.
    """
    shares: dict[Value, float] = {}
    for sibling in tree.children[tree.nodes[index].parent]:
        node = tree.nodes[sibling]
        if node.prob is not None:
            shares[node.value] = shares.get(node.value, 0.0) + node.prob
    return shares


def field_distributions(
    path: ThoughtPath,
    is_choice: Callable[[ThoughtNode], bool],
    key_of: Callable[[Value], Value] = lambda value: value,
) -> dict[str, Any]:
    """Return the distributions of a path's named choices by field, as `make_record` orders them.

    :param path: the path.
    :param is_choice: returns whether a Choose action made a node.
    :param key_of: returns the key of a value.
    """
    indices = {id(path.tree.nodes[index]): index for index in path.indices}

    def distribution(node: ThoughtNode) -> dict[Value, float] | None:
        if not is_choice(node):
            return None
        shares = choice_distribution(path.tree, indices[id(node)])
        return {key_of(value): share for value, share in shares.items()}

    return make_record(path.nodes, distribution)
