"""The rows of a finished run as columns of numbers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autocog_core.dataset.accuracy import Accuracy, AnswerCounter
from autocog_core.dataset.expected import Gold
from autocog_core.dataset.journal import Journal
from autocog_core.dataset.output_format import JOURNAL_SUFFIX
from autocog_core.dataset.run_sessions import RunSession, sessions_of
from autocog_core.dataset.table_fields import TableField
from autocog_core.errors import InputError, did_you_mean
from autocog_core.numerics import Float64Array
from autocog_core.reports.figures.row_answer import RowAnswer, read_answer, with_gold
from autocog_core.types.choice_value import value_text


@dataclass(frozen=True, kw_only=True)
class RunColumns:
    """The rows of a run.

    :ivar name: what the report calls the run.
    :ivar journal: the file with its rows.
    :ivar identity: how the rows arose (`OUTPUT.run.json`).
    :ivar columns: the columns of the input.
    :ivar field: the field that the report is about; None if the program has no named field.
    :ivar gold: the column of right answers; None without.
    :ivar answers: the rows, in order.
    :ivar accuracy: what the summary of the run says about them; None without right answers.
    """

    name: str
    journal: Path
    identity: dict[str, Any] = dataclasses.field(repr=False)
    columns: tuple[str, ...]
    field: TableField | None
    gold: str | None
    answers: tuple[RowAnswer, ...] = dataclasses.field(repr=False)
    accuracy: Accuracy | None

    @property
    def sessions(self) -> list[RunSession]:
        """When the run worked on its rows."""
        return sessions_of(self.identity)

    def floats(self, name: str) -> Float64Array:
        """Return a number of each row: (rows,), NaN where it is unknown."""
        return np.array([getattr(answer, name) for answer in self.answers], dtype=np.float64)

    @cached_property
    def probs(self) -> Float64Array:
        """The share of each answer: (rows,), NaN where it is unknown."""
        return self.floats("prob")

    @cached_property
    def losses(self) -> Float64Array:
        """-log of the share of each right answer: (rows,), NaN where it is unknown."""
        return self.floats("loss")

    @cached_property
    def rights(self) -> Float64Array:
        """1 for a right answer, 0 for a wrong one, NaN without one: (rows,)."""
        values = [math.nan if one.right is None else float(one.right) for one in self.answers]
        return np.array(values, dtype=np.float64)

    @cached_property
    def is_judged(self) -> NDArray[np.bool_]:
        """Whether a row has an answer and a right one: (rows,)."""
        return ~np.isnan(self.rights)

    def group_of(self, answer: RowAnswer, column: str) -> str:
        """Return the value of a column of the input as text."""
        value = answer.input.get(column)
        return "" if value is None else value_text(value)


def read_run(
    output: Path, *, name: str, gold: str | None = None, field: str | None = None
) -> RunColumns:
    """Read the output of a run.

    :param output: the output file of the run: its journal, or a table beside its journal.
    :param name: what the report calls the run.
    :param gold: `COLUMN` or `FIELD=COLUMN` with the right answers; None takes those of the run.
    :param field: the field; None takes the one with right answers, or the last named choice.
    :raises InputError: if it is no output of a run, has no such field or column, or no rows.
    """
    with Journal(journal_of(output)) as journal:
        columns = journal.input_columns()
        field_name, column = _parse_gold(gold, journal, columns)
        if field is not None and field_name is not None and field != field_name:
            message = f'"{field}" is not the field of --gold, "{field_name}"'
            raise InputError(message, where="field", hint="leave out one of them")
        chosen = _find_field(journal, field or field_name)
        if chosen is not None and journal.identity.get("probs") == "winner":
            chosen = dataclasses.replace(chosen, has_bounds=True)
        if column is not None and chosen is None:
            message = f"{journal.path}: no field has one answer for each row to compare"
            raise InputError(message, where="gold", hint="leave it out")
        given = Gold(chosen.name, column) if chosen and column else None
        # Those of the run may be about another field.
        has_own = chosen is not None and chosen.name == journal.gold_field
        is_gold_known = given is not None or has_own
        counter = AnswerCounter(chosen.name) if chosen and is_gold_known else None
        labels: dict[tuple[str, ...], tuple[str, ...]] = {}
        answers = []
        for read in journal.rows():
            row = with_gold(read, given, chosen)
            if not is_gold_known:
                row = {key: row[key] for key in row if key not in ("gold", "gold_choice")}
            if counter is not None and row["error"] is None:
                counter.add_best_path(row)
            answers.append(read_answer(row, chosen, labels))
        identity = journal.identity
    if not answers:
        raise InputError("has no rows yet", where=str(output), hint="let the run go on")
    own = (identity.get("gold") or {}).get("column")
    return RunColumns(
        name=name,
        journal=journal.path,
        identity=identity,
        columns=tuple(columns),
        field=chosen,
        gold=(column or own) if is_gold_known else None,
        answers=tuple(answers),
        accuracy=None if counter is None else counter.accuracy(),
    )


def journal_of(output: Path) -> Path:
    """Return the file with the rows of an output: that beside a table, or the output itself."""
    journal = output.with_name(output.name + JOURNAL_SUFFIX)
    return journal if journal.exists() else output


def _parse_gold(
    gold: str | None, journal: Journal, columns: Sequence[str]
) -> tuple[str | None, str | None]:
    """Return the field, and the column of its right answers; None for what is not given."""
    if gold is None:
        return None, None
    field_name, separator, column = gold.rpartition("=")
    # A column may have a "=" in its name.
    if separator and gold in columns:
        field_name, column = "", gold
    if column not in columns:
        raise InputError(
            f'{journal.path}: the rows have no column "{column}"',
            where="gold",
            hint=did_you_mean(column, columns),
        )
    return field_name or None, column


def _find_field(journal: Journal, name: str | None) -> TableField | None:
    by_name = {entry.name: entry for entry in journal.fields}
    if name is not None:
        if name not in by_name:
            message = f'{journal.path}: there is no field "{name}"'
            raise InputError(message, where="field", hint=did_you_mean(name, by_name))
        _require_one_answer(by_name[name])
        return by_name[name]
    if journal.gold_field in by_name:
        return by_name[str(journal.gold_field)]
    single = [entry for entry in journal.fields if not entry.is_mapping]
    choices = [entry for entry in single if entry.is_choice and entry.record == ""]
    return ([None, *single, *choices])[-1]


def _require_one_answer(entry: TableField) -> None:
    if entry.is_mapping:
        raise InputError(
            f'the field "{entry.name}" has an answer for each item of a list',
            where="field",
            hint="compare the answers in Python",
        )
