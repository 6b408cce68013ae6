"""The actions of a record that is written as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from autocog_core.constraints.json_schema import complete_keywords
from autocog_core.errors import InputError
from autocog_core.records.array_writer import array_tails, write_array
from autocog_core.records.builder import Builder, Tail
from autocog_core.records.document_check import constraint_refusal
from autocog_core.records.effects import Begin, End, Key, Put, Read
from autocog_core.records.parts import Array, Document, Object, Part, Scalar, Union, Values
from autocog_core.records.place import Limits, Place
from autocog_core.records.rust_regex import escape
from autocog_core.records.scalar_text import json_constraint, max_tokens_of
from autocog_core.records.styles import JsonStyle
from autocog_core.types.constraint import Constraint


class JsonWriter:
    """Writes parts as JSON, each before the rest of the record.

    :param builder: collects the actions.
    :param style: separators and quotes.
    :param limits: limits beyond those of the schema.
    """

    def __init__(self, builder: Builder, style: JsonStyle, limits: Limits) -> None:
        self.builder = builder
        self.style = style
        self.limits = limits
        # Blanks belong to the value after them: most tokens begin with one.
        self.after_key = style.key_separator.rstrip()
        self.key_lead = style.key_separator[len(self.after_key) :]

    def write(self, part: Part, place: Place, rest: Tail, lead: str = "") -> Tail:
        """Return a part and the rest of the record.

        :param part: the part.
        :param place: where it stands.
        :param rest: what comes after it.
        :param lead: blanks before it.
        """
        match part:
            case Values():
                return self._values(part.values, place, rest, lead)
            case Scalar():
                return self._scalar(part, place, rest, lead)
            case Object():
                return self._object(part, place, rest).prepend(lead)
            case Array():
                return write_array(self, part, place, rest, lead)
            case Union():
                return self._union(part, place, rest, lead)
            case Document():
                return self._document(part, place, rest, lead)

    def _values(self, values: Sequence[Any], place: Place, rest: Tail, lead: str) -> Tail:
        tails = [_constant(rest, value, lead) for value in values]
        if len(values) > 1 and all(isinstance(value, str) and value for value in values):
            # The choices are the texts between the quotes.
            opening = f'{lead}"'
            tails = [_without_opening(tail, opening) for tail in tails]
            return self._choose_values(values, place, tails).prepend(opening, cuts=[len(opening)])
        return self._choose_values(values, place, tails)

    def _choose_values(self, values: Sequence[Any], place: Place, tails: Sequence[Tail]) -> Tail:
        chosen = self.builder.choose(
            place.uid, tails, place.path, "value", field_name=place.field, values=values
        )
        assert chosen is not None, "constants differ"
        return chosen

    def _scalar(self, part: Scalar, place: Place, rest: Tail, lead: str) -> Tail:
        length = max_tokens_of(part, self.limits.max_tokens_per_text)
        if part.is_string:
            constraint = json_constraint(part)
            after = rest.prepend('"')
            opening = f'{lead}"'
            text = self._complete(place, Read("string"), after, constraint, length)
            return text.prepend(opening, cuts=[len(opening)])
        constraint = json_constraint(part, lead)
        return self._complete(place, Read("json", len(lead)), rest, constraint, length)

    def _document(self, part: Document, place: Place, rest: Tail, lead: str) -> Tail:
        spacing = {
            "whitespace_flexible": False,
            "item_separator": self.style.item_separator,
            "key_separator": self.style.key_separator,
        }
        schema = {"x-guidance": spacing, **complete_keywords(part.schema)}
        constraint: dict[str, Any] = {"json_schema": schema}
        if lead:
            # The blank belongs to the text: most tokens begin with one.
            document = json.dumps(schema, ensure_ascii=False)
            rules = [
                "start: LEAD document",
                f"LEAD: /{escape(lead)}/",
                f"document: %json {document}",
            ]
            constraint = {"grammar": "\n".join(rules)}
        length = self.limits.max_tokens_per_text
        return self._complete(place, Read("json"), rest, constraint, length)

    def _complete(
        self, place: Place, read: Read, rest: Tail, constraint: dict[str, Any], length: int
    ) -> Tail:
        require_constraint(constraint, place.name)
        return self.builder.complete(
            place.uid, (read,), rest, name=place.field, length=length, eos=False, **constraint
        )

    def _union(self, part: Union, place: Place, rest: Tail, lead: str) -> Tail:
        tails: list[Tail] = []
        for each in _single_values(part):
            if isinstance(each, Array):
                tails += array_tails(self, each, place, rest, lead)
            else:
                tails.append(self.write(each, place, rest, lead))
        chosen = self.builder.choose(f"{place.uid}/kind", tails, place.path, "value")
        if chosen is None:
            raise InputError(
                "the alternatives begin alike",
                where=place.name or "schema",
                hint="give each a required property with another constant",
            )
        if len(tails) > 1 and chosen.uid is not None:
            self.builder.unions[chosen.uid] = place.field
        return chosen

    def _object(self, part: Object, place: Place, rest: Tail) -> Tail:
        """Return an object, whose optional entries are choices among the keys that may be next."""
        entries = part.properties
        # The rest after the entry at an index; those after the last are its end.
        after: list[Tail] = [rest.prepend("}", End())]
        values: list[Tail] = []
        for index in reversed(range(len(entries))):
            inner = self.write(
                entries[index].part, place.entry(entries[index].name), after[0], self.key_lead
            )
            values.insert(0, inner)
            if index:
                after.insert(0, self._next_entry(part, index, values, after[-1], place))
        first = self._next_entry(part, 0, values, after[-1], place, is_first=True)
        begin = first.prepend("{", Begin("object"))
        return Tail(begin.text, begin.effects, begin.uid, self._opening_cuts(begin))

    def _next_entry(
        self,
        part: Object,
        start: int,
        values: Sequence[Tail],
        end: Tail,
        place: Place,
        *,
        is_first: bool = False,
    ) -> Tail:
        """Return what may come at an index: one of the next keys, or the end of the object.

        :param values: the values of the entries from `start` on, with the rest of the record.
        """
        separator = "" if is_first else self.style.item_separator
        tails = []
        for entry, value in zip(part.properties[start:], values, strict=True):
            key = separator + self.style.key(entry.name)
            closing = self.style.closing(entry.name) + self.after_key
            tails.append(value.prepend(key + closing, Key(entry.name), cuts=[len(key)]))
            if entry.required or self.style.write_all_keys:
                break
        else:
            tails.append(end)
        name = f"{place.path}/keys" if place.path else "keys"
        chosen = self.builder.choose(name, tails, place.path, "container")
        assert chosen is not None, "keys differ"
        return chosen

    def _opening_cuts(self, tail: Tail) -> tuple[int, ...]:
        """Return the places to end in the text of an object: also after its opening quote."""
        has_quote = tail.text[1:2] == '"'
        return (2 if has_quote else 1, *(cut for cut in tail.cuts if cut > 1 + has_quote))


def require_constraint(constraint: dict[str, Any], name: str) -> None:
    """Reject a constraint that llguidance does not accept.

    :raises InputError: with the path of the field.
    """
    if refusal := constraint_refusal(Constraint.from_arguments(**constraint)):
        raise InputError(f"its text cannot be constrained: {refusal}", where=name or "schema")


def _single_values(part: Union) -> list[Part]:
    """Return the alternatives of a union, with each constant as one of its own."""
    return [
        single
        for each in part.alternatives
        for single in (
            [Values(values=(value,)) for value in each.values]
            if isinstance(each, Values)
            else [each]
        )
    ]


def _constant(rest: Tail, value: Any, lead: str) -> Tail:
    text = lead + json.dumps(value, ensure_ascii=False)
    has_quote = isinstance(value, str) and bool(value)
    return rest.prepend(text, Put(value), cuts=[len(text) - has_quote])


def _without_opening(tail: Tail, opening: str) -> Tail:
    size = len(opening)
    cuts = tuple(cut - size for cut in tail.cuts if cut > size)
    return Tail(tail.text[size:], tail.effects, tail.uid, cuts)
