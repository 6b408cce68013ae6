"""The texts that a JSON Schema allows: as a constraint of a text, and as a record."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from autocog_core import Choice, Choose, Complete, InputError, Text
from autocog_core.constraints.language import body_grammar, check_constraint
from autocog_core.constraints.llguidance_calls import new_matcher
from autocog_core.constraints.tokenizers import byte_tokenizer
from autocog_core.records import CompiledRecord, compile_record
from autocog_core.types.constraint import Constraint

#: Forms of an instance, and of a value in it.
MAX_FORMS, MAX_VALUE_FORMS = 4_000, 8

#: Whether a text is one of those that a schema allows.
Language = Callable[[str], bool]


def forms_of(value: Any) -> Iterator[str]:
    """Yield the forms in which a value may be written."""
    return itertools.islice(_forms(value), MAX_FORMS)


def _forms(value: Any) -> Iterator[str]:
    match value:
        case dict():
            entries = [(json.dumps(key, ensure_ascii=False), item) for key, item in value.items()]
            parts = [[f"{key}: {form}" for form in _some_forms(item)] for key, item in entries]
            for order in itertools.permutations(parts):
                for chosen in itertools.product(*order):
                    yield "{" + ", ".join(chosen) + "}"
        case list():
            for chosen in itertools.product(*map(_some_forms, value)):
                yield "[" + ", ".join(chosen) + "]"
        case float():
            plain = f"{Decimal(repr(value)):f}"
            yield from dict.fromkeys([json.dumps(value), plain.removesuffix(".0"), plain])
            if "." in plain:
                yield from (plain + "0" * zeros for zeros in range(1, 6))
        case str():
            yield from dict.fromkeys([json.dumps(value, ensure_ascii=False), json.dumps(value)])
        case int() if not isinstance(value, bool):
            yield from (str(value), f"{value}.0")
        case _:
            yield json.dumps(value)


def _some_forms(value: Any) -> list[str]:
    return list(itertools.islice(_forms(value), MAX_VALUE_FORMS))


def text_language(schema: Any) -> Language | None:
    """Return the texts of `Complete(json_schema=...)`; None if the schema is refused."""
    constraint = Constraint.from_arguments(json_schema=schema)
    assert constraint is not None
    if check_constraint(constraint):
        return None
    ends = constraint_ends(constraint)
    return lambda text: len(text) in ends(text)


def constraint_ends(constraint: Constraint) -> Callable[[str], set[int]]:
    """Return what finds the lengths of all beginnings of a text that meet a constraint."""
    start = new_matcher(byte_tokenizer(), body_grammar(constraint))

    def ends(text: str) -> set[int]:
        matcher = start.deep_copy()
        lengths = {0} if matcher.is_accepting() else set()
        for index, character in enumerate(text, 1):
            raw = list(character.encode("utf-8", "surrogatepass"))
            if matcher.try_consume_tokens(raw) != len(raw):
                break
            if matcher.is_accepting():
                lengths.add(index)
        return lengths

    return ends


def record_language(schema: Any) -> Language | None:
    """Return the texts of a record; None if the schema is refused."""
    if not isinstance(schema, Mapping):
        return None
    try:
        record = compile_record(schema)
    except InputError:
        return None
    return RecordLanguage(record).has_text


class RecordLanguage:
    """The texts that the actions of a record can write.

    :param record: the record.
    """

    def __init__(self, record: CompiledRecord) -> None:
        self._start = record.actions[0].uid
        self._actions = {action.uid: action for action in record.actions}
        self._ends = {
            action.uid: constraint_ends(action.constraint)
            for action in record.actions
            if isinstance(action, Complete) and action.constraint is not None
        }

    def has_text(self, text: str) -> bool:
        """Return whether a path writes this text."""
        pending, seen = [(self._start, 0)], set()
        while pending:
            uid, position = state = pending.pop()
            if state in seen:
                continue
            seen.add(state)
            for end, successor in self._steps(uid, text, position):
                if successor is not None:
                    pending.append((successor, end))
                elif end == len(text):
                    return True
        return False

    def _steps(self, uid: str, text: str, position: int) -> Iterator[tuple[int, str | None]]:
        """Yield where an action may end, and the action after it."""
        action = self._actions[uid]
        successors = tuple(action.successors)
        if isinstance(action, Complete):
            for length in self._ends[uid](text[position:]):
                yield position + length, successors[0] if successors else None
            return
        assert isinstance(action, Text | Choose)
        entries = [action.text] if isinstance(action, Text) else action.choices
        for index, entry in enumerate(entries):
            for written in entry.texts if isinstance(entry, Choice) else [entry]:
                if text.startswith(written, position):
                    following = successors[min(index, len(successors) - 1)] if successors else None
                    yield position + len(written), following
