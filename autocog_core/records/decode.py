"""Read the nodes of a path back into the value of a record, field by field."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autocog_core.errors import InputError
from autocog_core.records.effects import Begin, Effect, End, Item, Key, Owner, Put, Read
from autocog_core.records.field_path import join_path
from autocog_core.types.thought_tree import ThoughtNode

#: What a node without a value of its own decides.
NO_VALUE: Any = object()


@dataclass(frozen=True, kw_only=True)
class DecodedField:
    """A field of a record.

    :ivar path: its path: "items[0].price"; "" for the record itself.
    :ivar value: its value as JSON data.
    :ivar nodes: positions in the path of the nodes that decided it. Of an object or a list, those
        that decided its keys or its number of items; none for a constant.
    :ivar prob: the product of their probabilities: the `prob` of a choice, and the probability of
        a text under its constraint.
    """

    path: str
    value: Any
    nodes: tuple[int, ...]
    prob: float


@dataclass(frozen=True, kw_only=True)
class DecodedRecord:
    """The value of a record.

    :ivar value: JSON data.
    :ivar fields: its fields by path, in the order in which they were written. Objects and lists
        are among them if something about them was decided.
    """

    value: Any
    fields: Mapping[str, DecodedField]

    @property
    def prob(self) -> float:
        """The product of the probabilities of all fields."""
        return math.prod(each.prob for each in self.fields.values())


def node_prob(node: ThoughtNode) -> float:
    """Return the probability of a node given what stands before it.

    :param node: a choice, whose share counts, or a text with a constraint.
    """
    logprob = node.constrained_logprob
    if logprob is not None:
        return math.exp(logprob)
    # Records score all their choices.
    assert node.prob is not None
    return node.prob


def value_of_node(
    effects: Mapping[str, Mapping[str, tuple[Effect, ...]]], node: ThoughtNode
) -> Any:
    """Return the value that a node alone decides; `NO_VALUE` if it decides none.

    :param effects: what each node does, as for `Decoder`.
    :param node: the node, of an action that has effects.
    """
    by_text = effects[node.uid]
    for effect in by_text.get(node.text, by_text.get("", ())):
        if isinstance(effect, Put):
            return effect.value
        if isinstance(effect, Read):
            return read_text(effect, node.text)
    return NO_VALUE


class Decoder:
    """Follows a path and builds the value.

    :param effects: what each node does, by the uid of its action and the text of a choice.
    :param owners: the field that each node belongs to, by uid.
    """

    def __init__(
        self,
        effects: Mapping[str, Mapping[str, tuple[Effect, ...]]],
        owners: Mapping[str, Owner],
    ) -> None:
        self._effects = effects
        self._owners = owners
        self._root: list[Any] = []
        #: The open objects and lists, with their paths.
        self._open: list[tuple[Any, str]] = [(self._root, "")]
        #: Where the next value goes.
        self._slot: Any = 0
        self._path = ""
        self._nodes: dict[str, list[int]] = {}
        self._leaves: dict[str, Any] = {}

    def decode(self, nodes: Sequence[ThoughtNode]) -> DecodedRecord:
        """Return the record of a complete path.

        :param nodes: the nodes; those of other actions are passed over.
        :raises InputError: if the path ends before the record does.
        """
        for index, node in enumerate(nodes):
            by_text = self._effects.get(node.uid)
            if by_text is None:
                continue
            owner = self._owners.get(node.uid)
            if owner is not None:
                path = self._path if owner == "value" else self._open[-1][1]
                self._nodes.setdefault(path, []).append(index)
            for effect in by_text.get(node.text, by_text.get("", ())):
                self._apply(effect, node.text)
        if len(self._open) > 1 or not self._root:
            raise InputError("the path ends before the record is complete", where="record")
        return DecodedRecord(value=self._root[0], fields=self._fields(nodes))

    def _apply(self, effect: Effect, text: str) -> None:
        container, path = self._open[-1]
        match effect:
            case Key(name):
                self._slot, self._path = name, join_path(path, name)
            case Item():
                self._slot, self._path = len(container), f"{path}[{len(container)}]"
            case Begin(kind):
                self._begin(kind)
            case End():
                self._open.pop()
            case Put(value):
                self._put(copy.deepcopy(value))
                self._leaves[self._path] = None
            case Read():
                self._put(read_text(effect, text))
                self._leaves[self._path] = None

    def _begin(self, kind: str) -> None:
        container = self._open[-1][0]
        is_there = isinstance(container, dict) and self._slot in container
        # A template may come back to an object that it left.
        value = container[self._slot] if is_there else self._put({} if kind == "object" else [])
        self._open.append((value, self._path))

    def _put(self, value: Any) -> Any:
        container = self._open[-1][0]
        if isinstance(container, list):
            container.append(value)
        else:
            container[self._slot] = value
        return value

    def _fields(self, nodes: Sequence[ThoughtNode]) -> dict[str, DecodedField]:
        values = dict(values_by_path(self._root[0]))
        paths = [path for path in values if path in self._leaves or path in self._nodes]
        fields = {}
        for path in paths:
            indices = tuple(self._nodes.get(path, ()))
            prob = math.prod(node_prob(nodes[index]) for index in indices)
            fields[path] = DecodedField(path=path, value=values[path], nodes=indices, prob=prob)
        return fields


def values_by_path(value: Any, path: str = "") -> list[tuple[str, Any]]:
    """Return all values inside a value by their paths, each after what contains it."""
    pairs = [(path, value)]
    if isinstance(value, Mapping):
        for key, entry in value.items():
            pairs += values_by_path(entry, join_path(path, key))
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            pairs += values_by_path(entry, f"{path}[{index}]")
    return pairs


def read_text(effect: Read, text: str) -> Any:
    """Return the JSON data that the text of a node stands for."""
    text = text[effect.lead :]
    match effect.form:
        case "string":
            return json.loads(f'"{text}"', strict=False)
        case "json":
            return json.loads(text)
        case _:
            return _read_plain(effect, text)


def _read_plain(effect: Read, text: str) -> Any:
    """Return what a text without quotes stands for: a constant, a number, or itself."""
    for written, constant in effect.constants:
        if text == written:
            return json.loads(constant)
    if effect.may_be_number:
        try:
            return json.loads(text)
        except ValueError:
            pass
    return text
