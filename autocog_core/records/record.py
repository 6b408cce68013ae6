"""Compile a type or a JSON Schema into the actions of an automaton."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from autocog_core.automaton.actions import Action, Complete
from autocog_core.records.builder import Builder, Tail
from autocog_core.records.closed_schema import close_objects
from autocog_core.records.decode import DecodedRecord, Decoder, value_of_node
from autocog_core.records.effects import Effect, Owner, Read
from autocog_core.records.json_writer import JsonWriter
from autocog_core.records.lookahead import following_regex
from autocog_core.records.parts import Part
from autocog_core.records.place import Limits, Place
from autocog_core.records.schema_reader import read_schema
from autocog_core.records.source import RecordSource, record_source
from autocog_core.records.styles import JsonStyle, Style, TemplateStyle
from autocog_core.records.template_writer import write_template
from autocog_core.types.thought_tree import ThoughtNode

#: After a text at the very end, a blank or line break comes, or the end of the sequence.
_END = r"\s(?s:.*)"
#: Why the numbers of a record that is one text are not exact.
DOCUMENT_REASON = (
    "the record is one text of the server: its fields have no probabilities, for these need token "
    "distributions"
)
#: Tokens of a record that is one text.
MAX_DOCUMENT_TOKENS = 2048


@dataclass(frozen=True, kw_only=True)
class CompiledRecord:
    """A record as a part of an automaton.

    :ivar actions: its actions; the first one is its entry.
    :ivar source: its JSON Schema, and how its values become instances.
    :ivar part: what the schema says.
    :ivar effects: what each node does to the value, by uid and the text of a choice.
    :ivar owners: the field that the numbers of a node belong to, by uid.
    :ivar unions: the name of the field whose alternative a choice decides, by its uid.
    :ivar is_document: whether the record is one text, whose fields have no probabilities.
    """

    actions: tuple[Action, ...]
    source: RecordSource
    part: Part
    effects: Mapping[str, Mapping[str, tuple[Effect, ...]]]
    owners: Mapping[str, Owner]
    unions: Mapping[str, str]
    is_document: bool = False

    @property
    def digest(self) -> str:
        """Hash of the schema and of how the record is written."""
        written = [self.source.schema, [repr(action) for action in self.actions]]
        return hashlib.sha256(json.dumps(written).encode("ascii")).hexdigest()

    def decode(self, nodes: Sequence[ThoughtNode]) -> DecodedRecord:
        """Return the value of a path, and its fields.

        :param nodes: the nodes of a complete path. Those of other actions are passed over.
        :raises InputError: if the path ends before the record does.
        """
        return Decoder(self.effects, self.owners).decode(nodes)

    def value_of(self, node: ThoughtNode) -> Any:
        """Return the value that a node alone decides; `NO_VALUE` if it decides none.

        :param node: a node of one of its actions.
        """
        return value_of_node(self.effects, node)

    def instance(self, value: Any) -> Any:
        """Return the instance of a value: of a pydantic model, a dataclass, or plain data.

        :raises InputError: if a validator of the type refuses it.
        """
        return self.source.to_instance(value)


def compile_record(
    source: Any,
    style: Style | None = None,
    *,
    limits: Limits | None = None,
    prefix: str = "",
    following: str | None = None,
    lead: str = "",
) -> CompiledRecord:
    """Return the actions that write a record.

    :param source: a pydantic model, a dataclass, a TypedDict, another type that pydantic knows, or
        a JSON Schema.
    :param style: how it is written; None for JSON on one line.
    :param limits: limits beyond those of the schema; None for the defaults.
    :param prefix: the beginning of the uids of its actions.
    :param following: the uid of the action that follows; None at the end of the automaton.
    :param lead: text before the record, such as a blank.
    :raises InputError: with the path in the schema, if it is not valid, allows no value, or has
        something that is not supported; for a template that does not fit.
    """
    limits = Limits() if limits is None else limits
    record = record_source(source)
    part = read_schema(record.schema)
    builder = Builder(prefix=prefix, following=following)
    if isinstance(style, TemplateStyle):
        whole = write_template(builder, style.template, part, limits, lead)
    else:
        writer = JsonWriter(builder, JsonStyle() if style is None else style, limits)
        whole = writer.write(part, Place(), Tail(), lead)
    entry = builder.enter(whole, "start")
    actions = {uid: _with_following(builder, uid) for uid in builder.actions}
    first = [] if entry is None else [actions.pop(entry)]
    return CompiledRecord(
        actions=(*first, *reversed(actions.values())),
        source=record,
        part=part,
        effects=builder.effects,
        owners=builder.owners,
        unions=builder.unions,
    )


def compile_document(
    source: Any,
    *,
    limits: Limits | None = None,
    prefix: str = "",
    following: str | None = None,
) -> CompiledRecord:
    """Return one action that writes a whole record, constrained by its JSON Schema.

    It is for backends without token distributions, which serve JSON Schemas themselves. The
    parameters are those of `compile_record`.

    :raises InputError: as `compile_record`.
    """
    parts = compile_record(source, limits=limits, prefix=prefix, following=following)
    limit = (Limits() if limits is None else limits).max_tokens_per_text
    texts = sum(isinstance(action, Complete) for action in parts.actions)
    uid = f"{prefix}document"
    action = Complete(
        uid=uid,
        json_schema=close_objects(parts.source.schema),
        length=min(MAX_DOCUMENT_TOKENS, limit * (texts + len(parts.actions))),
        successors=() if following is None else (following,),
    )
    return CompiledRecord(
        actions=(action,),
        source=parts.source,
        part=parts.part,
        effects={uid: {"": (Read("json"),)}},
        owners={uid: "value"},
        unions={},
        is_document=True,
    )


def _with_following(builder: Builder, uid: str) -> Action:
    """Return an action; a text of the model with what must follow it."""
    action = builder.actions[uid]
    if not isinstance(action, Complete):
        return action
    target = next(iter(action.successors), None)
    regex = following_regex(builder.actions, target)
    if regex:
        return replace(action, followed_by=regex)
    # Another program may follow, whose texts are not known here.
    return replace(action, followed_by=_END, eos=target is None)
