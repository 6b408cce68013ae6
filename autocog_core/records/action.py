"""The action `record` of programs: it becomes actions that models evaluate."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from autocog_core.automaton.actions import Action, Ask, Complete, Record, Text
from autocog_core.automaton.checks.finding import Finding
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.errors import CapabilityError, InputError
from autocog_core.records.decode import NO_VALUE, DecodedRecord
from autocog_core.records.place import Limits
from autocog_core.records.record import CompiledRecord, compile_document, compile_record
from autocog_core.records.styles import TemplateStyle
from autocog_core.types.thought_node import ThoughtNode

#: Maximum number of compiled records that are kept.
MAX_COMPILED = 64


@dataclass(frozen=True, kw_only=True)
class RecordEnd(Text):
    """The end of a record on a path: an empty text, whose node holds the record's value.

    :ivar record: the compiled record.
    :ivar start: the uid of the empty text before the record.
    :ivar flat: whether the record's fields are fields of the result.
    """

    record: CompiledRecord = field(hash=False)
    start: str
    flat: bool = False

    def decode(self, nodes: Sequence[ThoughtNode]) -> tuple[DecodedRecord, int]:
        """Return the record that ends a path, and the position of its first node.

        :param nodes: the nodes of the path so far.
        """
        # In a loop, a path has several records of one action: this is the last one.
        first = max(index for index, node in enumerate(nodes) if node.uid == self.start)
        return self.record.decode(nodes[first:]), first

    def as_field(self, node: ThoughtNode) -> ThoughtNode:
        """Return a node with the value that it decides, as a field of the result.

        A number that a text spells becomes a number, and null becomes None.

        :param node: a node of the record, of the path or beside it.
        """
        value = self.record.value_of(node)
        name = self.record.unions.get(node.uid)
        if value is NO_VALUE or (node.name is None and name is None):
            return node
        if name is not None:
            return replace(node, name=f"{self.name}.{name}", value=value)
        # The values of choices are different texts, numbers and booleans already.
        is_known = node.kind == "choice" and value is not None
        return node if is_known else replace(node, value=value)


def expand_records(
    automaton: AutomatonGraph, documents: Collection[str | None] = ()
) -> AutomatonGraph:
    """Return an automaton whose records are texts, choices and constrained completions.

    :param automaton: an automaton.
    :param documents: the names of the models that write each record as one text, for lack of token
        distributions; None names the main model.
    :raises InputError: naming the action, for a schema or template that is not supported.
    :raises CapabilityError: for a record with a template or flat fields that is one text.
    """
    if not any(isinstance(action, Record) for action in automaton.all_actions):
        return automaton
    return type(automaton)(
        _expand_all(automaton.actions, documents),
        automaton.vocabs,
        automaton.inputs,
        description=automaton.description,
        metadata=automaton.metadata,
    )


def record_errors(automaton: AutomatonGraph) -> Iterator[Finding]:
    """Yield the errors of the schemas and templates of an automaton's records."""
    for action in automaton.all_actions:
        if not isinstance(action, Record) or min(action.max_items, action.max_tokens_per_text) < 1:
            # Wrong limits are errors of the action itself.
            continue
        try:
            parts = _compile(action).actions
        except InputError as error:
            yield Finding.at_action(_message(error), action)
            continue
        for uid in (_end_uid(action), *(part.uid for part in parts)):
            if uid in automaton.by_uid:
                message = f'its part "{uid}" has the uid of another action: give that one another'
                yield Finding.at_action(message, action)


def _message(error: InputError) -> str:
    where = "" if error.where in (None, "", "record") else f"{error.where}: "
    return f"record: {where}{error.message}" + (f"; {error.hint}" if error.hint else "")


def _expand_all(actions: Sequence[Action], documents: Collection[str | None]) -> list[Action]:
    expanded: list[Action] = []
    for action in actions:
        if isinstance(action, Record):
            expanded += _expand(action, is_document=action.model in documents)
        elif isinstance(action, Ask):
            questions = tuple(
                tuple(_expand_all(question, documents)) for question in action.questions
            )
            expanded.append(replace(action, questions=questions))
        else:
            expanded.append(action)
    return expanded


def _expand(action: Record, *, is_document: bool) -> Iterator[Action]:
    """Yield an empty text with the record's uid, the record, and its end."""
    try:
        compiled = _compile_document(action) if is_document else _compile(action)
    except InputError as error:
        raise InputError(_message(error), where=f'action "{action.uid}"') from error
    end = _end_uid(action)
    entry = compiled.actions[0].uid if compiled.actions else end
    yield Text(
        uid=action.uid,
        text="",
        successors=(entry,),
        model=action.model,
        max_visits=action.max_visits,
        context=action.context,
        metadata=action.metadata,
    )
    for inner in compiled.actions:
        yield _as_part(inner, action)
    yield RecordEnd(
        uid=end,
        text="",
        successors=action.successors,
        name=action.name,
        model=action.model,
        record=compiled,
        start=action.uid,
        flat=action.flat,
    )


def _as_part(inner: Action, action: Record) -> Action:
    """Return an action of a compiled record with the options of the record."""
    changes: dict[str, Any] = {"model": action.model, "name": None}
    if action.flat and inner.name is not None:
        changes["name"] = f"{action.name}.{inner.name}" if inner.name else action.name
    if inner.max_visits is not None and action.max_visits is not None:
        changes["max_visits"] = inner.max_visits * action.max_visits
    if isinstance(inner, Complete):
        return replace(inner, beams=action.beams, length_penalty=0.0, **changes)
    return replace(inner, **changes)


def _compile(action: Record) -> CompiledRecord:
    """Return a record's automaton, compiled once for all rows of a table.

    :raises InputError: for a schema or template that is not supported.
    """
    if not isinstance(action.schema, Mapping):
        return _compile_type(action, action.schema)
    try:
        # As text: the order of keys counts, and 1, 1.0 and true are equal in Python.
        text = json.dumps(action.schema)
    except (TypeError, ValueError, RecursionError):
        return _compile_type(action, action.schema)
    return _compile_text(replace(action, schema=text))


@lru_cache(maxsize=MAX_COMPILED)
def _compile_text(action: Record) -> CompiledRecord:
    """Return the automaton of a record whose schema is JSON text."""
    return _compile_type(action, json.loads(action.schema))


def _compile_type(action: Record, schema: Any) -> CompiledRecord:
    return compile_record(
        schema,
        None if action.template is None else TemplateStyle(template=action.template),
        limits=_limits(action),
        prefix=f"{action.uid}.",
        following=_end_uid(action),
    )


def _compile_document(action: Record) -> CompiledRecord:
    options = {
        "template": action.template is not None,
        "flat": action.flat,
        "beams": action.beams > 1,
    }
    if missing := " and ".join(name for name, is_set in options.items() if is_set):
        raise CapabilityError(
            f"its {missing} needs a backend with token distributions",
            where=f'action "{action.uid}"',
            hint="without it, the record is one text of the server",
        )
    return compile_document(
        action.schema,
        limits=_limits(action),
        prefix=f"{action.uid}.",
        following=_end_uid(action),
    )


def _limits(action: Record) -> Limits:
    return Limits(max_items=action.max_items, max_tokens_per_text=action.max_tokens_per_text)


def _end_uid(action: Record) -> str:
    return f"{action.uid}.(end)"
