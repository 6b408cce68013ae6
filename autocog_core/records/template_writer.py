"""The actions of a record that is written by a template of the user."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from string import Formatter

from autocog_core.errors import InputError, shorten, suggest
from autocog_core.records.alphabet import plain_line
from autocog_core.records.builder import Builder, Tail
from autocog_core.records.effects import Begin, Effect, End, Key, Put, Read
from autocog_core.records.json_writer import JsonWriter, require_constraint
from autocog_core.records.parts import Object, Part, Scalar, Union, Values
from autocog_core.records.pattern_regex import PatternError
from autocog_core.records.place import Limits, Place
from autocog_core.records.scalar_text import max_tokens_of, plain_constraint, plain_text
from autocog_core.records.styles import JsonStyle

_WHERE = "template"


@dataclass(frozen=True)
class _Field:
    """A field of a template.

    :ivar text: the text before it.
    :ivar keys: the keys that lead to it.
    """

    text: str
    keys: tuple[str, ...]

    @property
    def path(self) -> str:
        return ".".join(self.keys)


def write_template(
    builder: Builder, template: str, part: Part, limits: Limits, lead: str = ""
) -> Tail:
    """Return a record by a template.

    :param builder: collects the actions.
    :param template: text with fields in braces.
    :param part: the record, which must be an object.
    :param limits: limits beyond those of the schema.
    :param lead: text before the record.
    :raises InputError: if the fields are not those of the record, or run into the text
        that follows.
    """
    if not isinstance(part, Object):
        raise InputError("only an object can be written by a template", where=_WHERE)
    fields, end = _split(template)
    parts = [_find(part, field) for field in fields]
    _require_all(part, fields)
    writer = JsonWriter(builder, JsonStyle(), limits)
    rest = Tail(end, (End(),))
    for index in reversed(range(len(fields))):
        field, inner = fields[index], parts[index]
        after = fields[index + 1].text if index + 1 < len(fields) else end
        if not after and index + 1 < len(fields):
            raise InputError(
                f"no text separates {{{field.path}}} from {{{fields[index + 1].path}}}",
                where=_WHERE,
                hint="write a line break or a sign between them",
            )
        text = field.text.rstrip(" \t")
        blank = field.text[len(text) :]
        rest = rest.prepend("", *(End() for _ in field.keys[1:]))
        rest = _write(writer, inner, field, rest, after, blank)
        rest = rest.prepend(text, *_enter(field.keys))
    return rest.prepend(lead, Begin("object"))


def _enter(keys: Sequence[str]) -> list[Effect]:
    """Return what leads from the record to one of its fields."""
    effects: list[Effect] = [Key(keys[0])]
    for key in keys[1:]:
        effects += [Begin("object"), Key(key)]
    return effects


def _write(
    writer: JsonWriter, part: Part, field: _Field, rest: Tail, after: str, blank: str
) -> Tail:
    """Return a field and what comes after it: a scalar without quotes, or JSON."""
    place = Place(field.path, field.path)
    scalar = _as_scalar(part)
    if isinstance(part, Values) and all(plain_text(value).strip() for value in part.values):
        return _choose(writer, part, place, rest, blank)
    if scalar is None:
        return writer.write(part, place, rest, blank)
    # A text ends where the text that follows begins, or at the end of its line.
    alphabet = plain_line(f"\n\r{after[:1]}")
    try:
        constraint = plain_constraint(scalar, alphabet, blank)
    except PatternError as error:
        raise InputError(str(error), where=field.path) from error
    require_constraint(constraint, field.path)
    read = Read(
        "plain",
        len(blank),
        tuple((plain_text(value), json.dumps(value)) for value in scalar.values),
        may_be_number=bool(scalar.numbers),
    )
    return writer.builder.complete(
        place.uid,
        (read,),
        rest,
        name=place.field,
        length=max_tokens_of(scalar, writer.limits.max_tokens_per_text),
        eos=False,
        **constraint,
    )


def _choose(writer: JsonWriter, part: Values, place: Place, rest: Tail, blank: str) -> Tail:
    texts = [blank + plain_text(value) for value in part.values]
    tails = [
        rest.prepend(text, Put(value), cuts=[len(text)])
        for text, value in zip(texts, part.values, strict=True)
    ]
    chosen = writer.builder.choose(
        place.uid, tails, place.path, "value", field_name=place.field, values=part.values
    )
    if chosen is None:
        raise InputError("two of its values are written alike", where=place.path, hint="use JSON")
    return chosen


def _as_scalar(part: Part) -> Scalar | None:
    """Return a part as one text without quotes; None if it may be an object or a list."""
    match part:
        case Scalar():
            return part
        case Values(values=values) if not any(isinstance(each, list | dict) for each in values):
            return Scalar(values=values)
        case Union(alternatives=alternatives):
            scalars = [_as_scalar(each) for each in alternatives]
            if all(scalars):
                return Scalar(
                    strings=tuple(each for part in scalars if part for each in part.strings),
                    numbers=tuple(each for part in scalars if part for each in part.numbers),
                    values=tuple(each for part in scalars if part for each in part.values),
                )
    return None


def _split(template: str) -> tuple[list[_Field], str]:
    """Return the fields of a template, and the text after the last one."""
    fields: list[_Field] = []
    text = ""
    try:
        pieces = list(Formatter().parse(template))
    except ValueError as error:
        raise InputError(str(error), where=_WHERE, hint="write {{ for a brace") from error
    for literal, name, form, conversion in pieces:
        text += literal
        if name is None:
            continue
        if not name or form or conversion:
            raise InputError(
                f"{{{name}}}: give the name of a field, and nothing else in the braces",
                where=_WHERE,
            )
        fields.append(_Field(text, tuple(name.split("."))))
        text = ""
    if not fields:
        raise InputError("has no field", where=_WHERE, hint="write a name in braces: {name}")
    return fields, text


def _find(part: Object, field: _Field) -> Part:
    """Return the part of a field."""
    found: Part = part
    for depth, key in enumerate(field.keys):
        path = ".".join(field.keys[:depth])
        if not isinstance(found, Object):
            raise InputError(f'"{shorten(path)}" has no fields of its own', where=_WHERE)
        entries = {entry.name: entry.part for entry in found.properties}
        if key not in entries:
            name = shorten(".".join(field.keys[: depth + 1]))
            raise InputError(
                f'the record has no field "{name}"', where=_WHERE, hint=suggest(key, entries)
            )
        found = entries[key]
    return found


def _require_all(part: Object, fields: Sequence[_Field]) -> None:
    """Reject a template that writes a field twice, or lacks a required one."""
    written = [field.keys for field in fields]
    for index, keys in enumerate(written):
        for other in written[:index]:
            shorter = min(len(keys), len(other))
            if keys[:shorter] == other[:shorter]:
                raise InputError(f"writes {{{fields[index].path}}} twice", where=_WHERE)

    def check(inner: Part, keys: tuple[str, ...]) -> None:
        if keys in written:
            return
        below = [each for each in written if each[: len(keys)] == keys]
        if not below:
            path = ".".join(keys)
            raise InputError(
                f'lacks the required field "{path}"', where=_WHERE, hint=f"write {{{path}}}"
            )
        if isinstance(inner, Object):
            for entry in inner.properties:
                is_begun = any(each[: len(keys) + 1] == (*keys, entry.name) for each in written)
                if entry.required or is_begun:
                    check(entry.part, (*keys, entry.name))

    check(part, ())
