"""Right answers: the column that holds them, and the field that they are compared with."""

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

    :ivar field: the field of the output row. If it occurs several times, its last text counts.
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
        fields = [action.name for action in automaton.actions if action.name is not None]
        field, separator, column = text.partition("=")
        if separator:
            if field not in fields:
                raise InputError(
                    f'there is no field "{field}"', where="gold", hint=did_you_mean(field, fields)
                )
            return cls(field, column)
        choice_fields = [
            action.name
            for action in automaton.actions
            if isinstance(action, Choose) and action.name is not None
        ]
        if not choice_fields:
            raise InputError(
                "no Choose action has a name",
                where="gold",
                hint="name the field to compare: FIELD=COLUMN",
            )
        return cls(choice_fields[-1], text)

    def right_answer(self, values: Mapping[str, Any]) -> str | None:
        """Return the right answer of an input row as text, or None if it has none."""
        value = values.get(self.column)
        if value is None or isinstance(value, str):
            return value
        return json.dumps(value, ensure_ascii=False, default=str)
