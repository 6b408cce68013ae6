"""A record that a model wrote: its value, and the probability of each field."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from autocog_core.errors import shorten
from autocog_core.records.decode import NO_VALUE, DecodedField, node_prob, values_by_path
from autocog_core.records.record import DOCUMENT_REASON, CompiledRecord
from autocog_core.types.brief import brief
from autocog_core.types.json_number import to_json_number
from autocog_core.types.shown_result import ShownResult
from autocog_core.types.thought_tree import ThoughtPath, ThoughtTree

Instance = TypeVar("Instance")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """A value that a field could have had.

    :ivar value: the value as JSON data.
    :ivar prob: its probability, given what stands before the field.
    """

    value: Any
    prob: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordField:
    """A field of a record.

    :ivar path: its path: "items[0].price"; "" for a record that is a single value.
    :ivar value: its value as JSON data. A list has the number of its items decided, and an object
        which optional keys it has; other lists and objects are no fields.
    :ivar prob: the probability of the value given what stands before it: the share among the
        choices, or exp(`constrained_logprob`) of a text; the product if it took several decisions.
    :ivar logprob: the model's own log-probability of the tokens that were decided.
    :ivar alternatives: values with their probabilities, the likeliest first, with the field's own:
        all choices, or the texts of the best beams. Empty for lists and objects.
    :ivar nodes: indices in `tree.nodes` of the nodes that decided it; none for a constant.

    In a record that is one text, `prob` and `logprob` are None.
    """

    path: str
    value: Any
    prob: float | None
    logprob: float | None
    alternatives: tuple[Alternative, ...]
    nodes: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        alternatives = [{"value": each.value, "prob": each.prob} for each in self.alternatives]
        return {
            "value": self.value,
            "prob": self.prob,
            "logprob": None if self.logprob is None else to_json_number(self.logprob),
            "alternatives": alternatives,
        }


@dataclass(frozen=True, kw_only=True)
class TypedRecord(ShownResult, Generic[Instance]):
    """A record that a model wrote.

    :ivar value: the instance: of a pydantic model, a dataclass, ..., or plain data for a schema.
    :ivar data: the same as JSON data.
    :ivar prob: its probability under the constraints: the product of the fields' probabilities.
        None for a record that is one text, of a server without token distributions.
    :ivar logprob: the model's own log-probability of all decided tokens; None if the server returns
        none.
    :ivar fields: the fields by path, in the order in which they were written.
    :ivar tree: the tree of the run.
    :ivar exact: whether all numbers are the model's, within its declared tolerance.
    :ivar reason: why they are not, or missing.
    """

    page_name: ClassVar = ("record_page", "Record")
    cell_name: ClassVar = "record_in_cell"

    value: Instance
    data: Any
    prob: float | None
    logprob: float | None
    fields: Mapping[str, RecordField]
    tree: ThoughtTree = field(repr=False)
    exact: bool = True
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON, without the tree."""
        return {
            "value": self.data,
            "prob": self.prob,
            "logprob": None if self.logprob is None else to_json_number(self.logprob),
            "exact": self.exact,
            **({"reason": self.reason} if self.reason else {}),
            "fields": {path: entry.to_dict() for path, entry in self.fields.items()},
        }

    def __repr__(self) -> str:
        """Return the value and its probability, as one line."""
        prob = "" if self.prob is None else f" prob {self.prob:.4g}"
        fields = "1 field" if len(self.fields) == 1 else f"{len(self.fields)} fields"
        exact = "" if self.exact else ", not exact"
        return f"<TypedRecord {brief(self.value, 50)}{prob}, {fields}{exact}>"

    def __str__(self) -> str:
        """Return one line a field: its path, value and probability, - if it is not known."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        values = {path: _shown(entry.value) for path, entry in self.fields.items()}
        path_width = max(map(len, values), default=0)
        value_width = max(map(len, values.values()), default=0)
        for path, entry in self.fields.items():
            prob = "-" if entry.prob is None else f"{entry.prob:.4f}"
            yield f"{path:{path_width}}  {values[path]:{value_width}}  {prob}"


def _shown(value: Any) -> str:
    """Return a value for a line of text; of a list or object, its size."""
    if isinstance(value, list):
        return f"[{len(value)} items]"
    if isinstance(value, dict):
        return "{" + ", ".join(value) + "}"
    return shorten(json.dumps(value, ensure_ascii=False))


def read_record(
    compiled: CompiledRecord, path: ThoughtPath, top: int | None = None
) -> TypedRecord[Any]:
    """Return the record of a complete path.

    :param compiled: the record's automaton.
    :param path: the path.
    :param top: maximum number of alternatives of a field; None for all.
    :raises InputError: if a validator of the type refuses the value.
    """
    decoded = compiled.decode(path.nodes)
    if compiled.is_document:
        return _read_document(compiled, path, decoded.value)
    reader = _FieldReader(compiled, path, top)
    return TypedRecord(
        value=compiled.instance(decoded.value),
        data=decoded.value,
        prob=decoded.prob,
        logprob=path.logprob,
        fields={name: reader.read(each) for name, each in decoded.fields.items()},
        tree=path.tree,
        exact=path.exact,
        reason=next((node.reason for node in path.nodes if not node.exact), ""),
    )


def _read_document(compiled: CompiledRecord, path: ThoughtPath, value: Any) -> TypedRecord[Any]:
    """Return a record that is one text; only its value is known field by field."""
    node = next(node for node in path.nodes if node.uid in compiled.effects)
    fields = {
        name: RecordField(
            path=name,
            value=entry,
            prob=None,
            logprob=None,
            alternatives=(),
            nodes=(path.indices[path.nodes.index(node)],),
        )
        for name, entry in values_by_path(value)
        if not isinstance(entry, list | dict) or not entry
    }
    return TypedRecord(
        value=compiled.instance(value),
        data=value,
        prob=None,
        logprob=path.logprob if node.logprobs else None,
        fields=fields,
        tree=path.tree,
        exact=False,
        reason=DOCUMENT_REASON,
    )


class _FieldReader:
    """Reads the fields of a path."""

    def __init__(self, compiled: CompiledRecord, path: ThoughtPath, top: int | None) -> None:
        self._compiled = compiled
        self._tree = path.tree
        self._indices = path.indices
        self._top = top

    def read(self, entry: DecodedField) -> RecordField:
        nodes = tuple(self._indices[position] for position in entry.nodes)
        is_leaf = not isinstance(entry.value, list | dict)
        return RecordField(
            path=entry.path,
            value=entry.value,
            prob=entry.prob,
            logprob=math.fsum(self._tree.nodes[index].logprob for index in nodes),
            alternatives=self._alternatives(nodes) if is_leaf else (),
            nodes=nodes,
        )

    def _alternatives(self, nodes: tuple[int, ...]) -> tuple[Alternative, ...]:
        """Return the values that end at a sibling of one of the nodes, with their probabilities."""
        found: list[Alternative] = []
        before = 1.0
        for index in nodes:
            for sibling in self._tree.children[self._tree.nodes[index].parent]:
                node = self._tree.nodes[sibling]
                if node.pruned_by in ("duplicate", "incomplete"):
                    continue
                value = self._compiled.value_of(node)
                if value is not NO_VALUE:
                    found.append(Alternative(value=value, prob=before * node_prob(node)))
            before *= node_prob(self._tree.nodes[index])
        # Stable: of equally likely ones, the first of the schema.
        return tuple(sorted(found, key=lambda each: -each.prob)[: self._top])
