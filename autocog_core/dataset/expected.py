"""The right answers: which column holds them, and which field they are compared with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autocog_core.automaton.actions import Choose
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.errors import InputError, did_you_mean


@dataclass(frozen=True, slots=True)
class Gold:
    """A column of right answers for a field.

    :ivar field: the field of the record; where it came several times, its last text counts.
    :ivar column: the column of the input.
    """

    field: str
    column: str

    @classmethod
    def parse(cls, given: str, automaton: AutomatonGraph) -> Gold:
        """`COLUMN`, for the field of the last named choice, or `FIELD=COLUMN`.

        :raises InputError: if the automaton has no such field.
        """
        names = [action.name for action in automaton.actions if action.name is not None]
        field, equals, column = given.partition("=")
        if equals:
            if field not in names:
                raise InputError(
                    f'there is no field "{field}"', where="gold", hint=did_you_mean(field, names)
                )
            return cls(field, column)
        chosen = [
            action.name
            for action in automaton.actions
            if isinstance(action, Choose) and action.name is not None
        ]
        if not chosen:
            raise InputError(
                "no action that chooses has a name",
                where="gold",
                hint="say which field is compared: FIELD=COLUMN",
            )
        return cls(chosen[-1], given)

    def of(self, values: Mapping[str, Any]) -> str | None:
        """The right answer of a row, as text; None where there is none."""
        value = values.get(self.column)
        if value is None or isinstance(value, str):
            return value
        return json.dumps(value, ensure_ascii=False, default=str)
