"""Right answers: the column that holds them, the field that they are compared with, and how."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from autocog_core.automaton.actions import Ask, Choose
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.dataset.output_row import last_value
from autocog_core.errors import InputError, did_you_mean
from autocog_core.records.action import expand_records
from autocog_core.types.choice_value import Value, value_text
from autocog_core.types.thought_tree import ThoughtPath

#: What the probabilities of all choices may be below 1.
_ROUNDING = 1e-9
# Without leading zeros: "007" is a code. Longer exponents are beyond what Decimal reads.
_NUMBER = re.compile(
    r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Gold:
    """A column of right answers for a field.

    :ivar field: the field of the output row. If it occurs several times, its last value counts.
    :ivar column: the column of the input.
    """

    field: str
    column: str

    @classmethod
    def parse(cls, text: str, automaton: AutomatonGraph) -> Gold:
        """Parse `COLUMN`, which stands for the last named Choose action, or `FIELD=COLUMN`.

        :param text: the text, for example from the command line.
        :param automaton: the automaton whose actions name the fields.
        :raises InputError: if the automaton has no such field.
        """
        actions = expand_records(automaton).field_actions
        fields = [str(action.name) for action in actions]
        field, separator, column = text.partition("=")
        if separator:
            if field not in fields:
                raise InputError(
                    f'there is no field "{field}"', where="gold", hint=did_you_mean(field, fields)
                )
            if any(isinstance(a, Ask) for a in actions if a.name == field):
                raise InputError(
                    f'the field "{field}" has an answer for each item of a list',
                    where="gold",
                    hint="compare the answers in Python",
                )
            return cls(field, column)
        choice_fields = [
            str(action.name) for action in automaton.field_actions if isinstance(action, Choose)
        ]
        if not choice_fields:
            raise InputError(
                "no Choose action has a name",
                where="gold",
                hint="name the field to compare: FIELD=COLUMN",
            )
        return cls(choice_fields[-1], text)

    def right_answer(self, values: Mapping[str, Any]) -> str | None:
        """Return the right answer of an input row as text.

        None if it has none: the column is missing, null, NaN or blank.
        """
        text = _to_text(values.get(self.column))
        return text if text is not None and text.strip() else None

    def choices(
        self,
        path: ThoughtPath,
        values: tuple[Value, ...] | None = None,
        *,
        reads_best: bool = False,
    ) -> tuple[Value, ...] | None:
        """Return the values of the choices of a path's last action with the field.

        None if it is no Choose, or if not all its choices are known.

        :param path: the path.
        :param values: the values of all choices, if they do not depend on the row. They count where
            only the best choices were read.
        :param reads_best: whether the run reads only the best choices, so that the tree has no
            others, even where it has read enough to know the probability of the best one.
        """
        nodes = [node for node in path.nodes if node.name == self.field]
        if not nodes or nodes[-1].kind != "choice":
            return None
        if nodes[-1].prob is None:
            return values
        siblings = [path.tree.nodes[index] for index in path.tree.children[nodes[-1].parent]]
        if reads_best and values is not None:
            return values
        if reads_best and math.fsum(node.prob or 0.0 for node in siblings) < 1 - _ROUNDING:
            return None
        return tuple(node.value for node in siblings)


def find_right_choice(
    choices: Sequence[Value], right: str, chosen: Value | None = None
) -> Value | None:
    """Return the value of the choice that is the right answer; None if no choice is.

    A value with the text of the right answer goes before one that only means the same: of the
    values "1.1" and "1.10", one is right.

    :param choices: the values of the choices.
    :param right: the right answer.
    :param chosen: the value to return if several are right.
    """
    for is_same in (_is_same_text, is_same_answer):
        found = [value for value in choices if is_same(value_text(value), right)]
        if found:
            return chosen if chosen is not None and chosen in found else found[0]
    return None


def is_same_answer(answer: Any, right: str) -> bool:
    """Return whether a value and a text are the same text, number, boolean or JSON data.

    Blanks around them do not count.
    """
    if isinstance(answer, list | dict):
        return bool(answer == _read_json(right))
    answer = value_text(answer)
    if _is_same_text(answer, right):
        return True
    readers: tuple[Callable[[str], object], ...] = (_read_number, _read_boolean)
    for read in readers:
        value = read(answer)
        if value is not None and value == read(right):
            return True
    return False


def is_right_row(row: Mapping[str, Any], field: str) -> bool | None:
    """Return whether the answer of an output row is right; None if it or the right one is missing.

    :param row: the output row, with the keys of `gold`.
    :param field: the field that is compared; of one that occurs several times, the last value.
    """
    gold = row.get("gold")
    fields = row.get("fields", {})
    if field not in fields or gold is None:
        return None
    answer = last_value(fields[field])
    if "gold_choice" in row:
        return bool(answer == row["gold_choice"])
    return is_same_answer(answer, gold)


def is_right_marginal(row: Mapping[str, Any], field: str) -> bool | None:
    """Return whether the likeliest value of a marginal is right; None if any of them is missing.

    :param row: the output row, with the keys of `gold`, and `marginals`.
    :param field: the field; of one that occurs several times, the last value counts.
    """
    gold, marginal = row.get("gold"), row.get("marginals", {}).get(field)
    values = (
        [] if marginal is None else [last_value(entry["value"]) for entry in marginal["values"]]
    )
    if gold is None or not values or values[0] is None:
        return None
    if row.get("gold_choice", "") is None:
        return False
    if "gold_choice" in row:
        known = [value for value in values if value is not None]
        return bool(find_right_choice(known, gold, values[0]) == values[0])
    return is_same_answer(values[0], gold)


def _is_same_text(answer: str, right: str) -> bool:
    return _normalize(answer) == _normalize(right)


def _normalize(text: str) -> str:
    # An accent may be part of its letter, or a character after it.
    return unicodedata.normalize("NFC", text.strip())


def _read_number(text: str) -> Decimal | None:
    """Return a number exactly: floats would make long numbers equal."""
    text = text.strip()
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def _read_boolean(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.strip().lower())


def _read_json(text: str) -> Any:
    """Return JSON data; None for other text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _to_text(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="backslashreplace")
    if isinstance(value, bool | int | float | list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    # Dates and decimal numbers of .parquet files.
    return str(value)
