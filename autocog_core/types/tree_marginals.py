"""Computes marginals: sums over the paths of a thought tree, from its ends to its start."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autocog_core.errors import InputError, did_you_mean
from autocog_core.types.marginal import FieldValue, Marginal, MarginalValue
from autocog_core.types.path_weights import PathWeights, sample_squares
from autocog_core.types.thought_node import ThoughtNode

#: Rounding of sums leaves less than this.
_ROUNDING = 1e-12
#: A value with its types: 1, 1.0 and true are equal, but other values.
_Key = Any


@dataclass(slots=True)
class _Share:
    """The probability of a value after a node.

    :ivar prob: the probability.
    :ivar error: its standard error.
    """

    prob: float = 0.0
    error: float = 0.0


_Shares = dict[_Key, _Share]


def compute_marginal(
    nodes: Sequence[ThoughtNode],
    children: Sequence[Sequence[int]],
    repeats: Mapping[str, Sequence[str]],
    name: str,
    keys: tuple[str, ...] = (),
) -> Marginal:
    """Return the marginal of a field; see `ThoughtTree.marginals`.

    A field that no node sets has no value, or None.

    :param nodes: the nodes of the tree.
    :param children: the indices of each node's children; the last entry has the first nodes.
    :param repeats: see `ThoughtTree`.
    """
    paths = _FieldPaths(nodes, repeats, name, keys)
    # A field that is set several times may depend on the other questions of an earlier visit.
    weights = PathWeights(nodes, [not paths.is_list and sets for sets in paths.is_field])
    shares: list[_Shares] = [{} for _ in range(len(nodes) + 1)]
    reason = ""
    has_samples = False
    for index in range(len(nodes) - 1, -2, -1):
        if index >= 0 and not paths.is_open[index]:
            continue
        if index >= 0 and index in paths.ends:
            shares[index] = {_key(paths.ends[index]): _Share(1.0)}
            continue
        followed = [child for child in children[index] if paths.is_open[child]]
        if not followed:
            continue
        probs = weights.of_siblings(followed)
        squares = None
        is_weighted = any(nodes[child].prob_error is not None for child in followed)
        if not weights.is_of_other_question(followed[0]):
            reason = next((why for child in followed if (why := _inexact(nodes[child]))), reason)
            if any(nodes[child].kind == "sample" for child in followed):
                has_samples = True
                paths.require_followed_samples(followed)
                squares = sample_squares(nodes, followed, is_weighted=is_weighted)
        after = [shares[child] for child in followed]
        shares[index] = _merge(after, probs, squares, is_weighted=is_weighted)
        for child in followed:
            shares[child] = {}
    return _to_marginal(name, keys, shares[-1], paths, has_samples, reason)


def require_field(nodes: Sequence[ThoughtNode], name: str, keys: tuple[str, ...]) -> None:
    """Check that a node of a tree sets a field.

    :raises InputError: naming the fields, or the keys below the field.
    """
    names = {node.name: None for node in nodes if node.name is not None}
    if name not in names:
        raise InputError(
            f'no node sets the field "{name}"', where="marginals", hint=did_you_mean(name, names)
        )
    known = {node.keys: None for node in nodes if node.name == name and node.keys != ()}
    if (keys or None) in known:
        return
    items = [key for key in known if key]
    where = f'field "{name}"'
    if not items:
        raise InputError("has no answers for items", where=where, hint="leave out the keys")
    example = ", ".join(f'"{key}"' for key in (name, *items[0]))
    message = f"has no answer for {', '.join(keys)}" if keys else "has an answer for each item"
    raise InputError(message, where=where, hint=f"name the item, such as marginals({example})")


class _FieldPaths:
    """Where the paths of a tree know the value of a field.

    :ivar is_field: whether a node sets the field.
    :ivar is_list: whether a path can set the field several times.
    :ivar is_open: whether a path reaches the node before it knows the value, or there.
    :ivar ends: the value, by the node where a path knows it.
    :ivar order: the first node that has each value.
    """

    def __init__(
        self,
        nodes: Sequence[ThoughtNode],
        repeats: Mapping[str, Sequence[str]],
        name: str,
        keys: tuple[str, ...],
    ) -> None:
        self._nodes = nodes
        self._name = name
        self.is_field = [node.name == name and node.keys == (keys or None) for node in nodes]
        fields = [node for node, sets in zip(nodes, self.is_field, strict=True) if sets]
        # After a node of these actions, the field may be set again.
        again: set[str] = set()
        for uid in {node.uid for node in fields}:
            again.update(repeats.get(uid, ()))
        self._again = again
        self.is_list = bool(again)
        self.is_open = [False] * len(nodes)
        self.ends: dict[int, FieldValue] = {}
        self.order: dict[_Key, int] = {}
        values: list[tuple[Any, ...]] = []
        for index, node in enumerate(nodes):
            if node.kind is None:
                raise InputError(
                    "the tree does not say how its nodes arose: an earlier version saved it",
                    where="marginals",
                    hint="run the program again",
                )
            parent = node.parent
            before = values[parent] if parent >= 0 else ()
            values.append((*before, node.value) if self.is_field[index] else before)
            # A group goes on after a text of one question that does not meet its constraint.
            is_cut = self.is_list and parent >= 0 and nodes[parent].finish_reason == "incomplete"
            self.is_open[index] = parent < 0 or (
                self.is_open[parent] and parent not in self.ends and not is_cut
            )
            if self.is_open[index] and self._is_known(index):
                value = values[index] if self.is_list else next(iter(values[index]), None)
                self.ends[index] = value
                self.order.setdefault(_key(value), index)

    def _is_known(self, index: int) -> bool:
        """Return whether the value of the field is known at a node."""
        node = self._nodes[index]
        if node.finish_reason == "incomplete":
            # Equal ones are pruned as duplicates.
            return False
        if node.last and node.pruned_by is None:
            return True
        return node.uid not in self._again if self.is_list else self.is_field[index]

    def require_followed_samples(self, siblings: Sequence[int]) -> None:
        """Check that no sample was cut before the value is known.

        :raises InputError: if one was.
        """
        for index in siblings:
            node = self._nodes[index]
            if index in self.ends or node.pruned_by not in ("width", "threshold"):
                continue
            hint = "follow all of them: width: null, and no threshold"
            if node.question is not None:
                hint = "a group follows one sample alone: draw them outside of groups"
            raise InputError(
                f'the run followed only some samples of action "{node.uid}", and the shares of the '
                "others are lost",
                where=f'marginals of field "{self._name}"',
                hint=hint,
            )


def _merge(
    shares: Sequence[_Shares],
    probs: Sequence[float],
    squares: Sequence[float] | None,
    *,
    is_weighted: bool,
) -> _Shares:
    """Return the shares of values after a node from those after its children.

    :param shares: those after each child.
    :param probs: the weight of each child.
    :param squares: for samples, the sum of the squared weights of those that each child stands for;
        None for other children.
    :param is_weighted: whether the samples have importance weights.
    """
    if len(shares) == 1 and probs[0] == 1 and squares is None:
        return shares[0]
    merged: _Shares = {}
    for child, weight in zip(shares, probs, strict=True):
        for key, share in child.items():
            total = merged.setdefault(key, _Share())
            total.prob += weight * share.prob
            total.error += weight * share.error
    if squares is None:
        return merged
    drawn = len(shares)
    # The sample variance; the error of a weighted estimate as in `ThoughtNode.prob_error`.
    factor = 1.0 if is_weighted else drawn / (drawn - 1) if drawn > 1 else math.nan
    none = _Share()
    for key, total in merged.items():
        # Of the mean over samples.
        variance = math.fsum(
            square * (child.get(key, none).prob - total.prob) ** 2
            for child, square in zip(shares, squares, strict=True)
        )
        # Draws with equal seeds depend on each other: errors add up, not their squares.
        total.error += math.sqrt(variance * factor)
    return merged


def _to_marginal(
    name: str,
    keys: tuple[str, ...],
    shares: _Shares,
    paths: _FieldPaths,
    has_samples: bool,
    reason: str,
) -> Marginal:
    ranked = sorted(shares, key=lambda key: (-shares[key].prob, paths.order[key]))
    entries = tuple(
        MarginalValue(
            value=paths.ends[paths.order[key]],
            prob=shares[key].prob,
            standard_error=shares[key].error if has_samples else None,
        )
        for key in ranked
    )
    unexplored = 1.0 - math.fsum(entry.prob for entry in entries)
    return Marginal(
        name=name,
        keys=keys,
        entries=entries,
        unexplored=unexplored if unexplored > _ROUNDING else 0.0,
        exact=not reason,
        reason=reason,
    )


def _inexact(node: ThoughtNode) -> str:
    """Return why the weight of a node is not exact; empty if it is, or is always 1."""
    return "" if node.exact or node.kind in ("text", "group") else node.reason or "inexact"


def _key(value: FieldValue) -> _Key:
    if isinstance(value, tuple):
        return tuple(map(_key, value))
    if isinstance(value, list | dict):
        # The data of a record.
        return ("JSON", json.dumps(value))
    return (type(value).__name__, value)
