"""Which rows of two runs are the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from autocog_core.errors import InputError
from autocog_core.reports.figures.report_definitions import MatchedBy
from autocog_core.reports.figures.row_answer import RowAnswer
from autocog_core.reports.figures.run_columns import RunColumns


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The rows that two runs have in common.

    :ivar by: how they are known to be the same.
    :ivar columns: the columns that are compared; empty for rows with equal numbers.
    :ivar pairs: the rows of both, in the order of the first run.
    """

    by: MatchedBy
    columns: tuple[str, ...]
    pairs: tuple[tuple[RowAnswer, RowAnswer], ...]


def match_runs(first: RunColumns, second: RunColumns) -> Match:
    """Return the rows that two runs have in common.

    Runs of one input have the same rows by number. Otherwise, rows are the same if the columns that
    both inputs have hold equal values; of several equal rows, the first ones belong together.

    :raises InputError: if they have no row in common.
    """
    given = first.identity.get("input")
    if given is not None and given == second.identity.get("input"):
        numbered = {answer.row: answer for answer in second.answers}
        pairs = [(one, numbered[one.row]) for one in first.answers if one.row in numbered]
        return Match(by="row number", columns=(), pairs=tuple(pairs))
    columns = tuple(name for name in first.columns if name in second.columns)
    waiting: dict[str, list[RowAnswer]] = {}
    for answer in reversed(second.answers):
        waiting.setdefault(_content(answer, columns), []).append(answer)
    pairs = []
    for answer in first.answers if columns else ():
        if others := waiting.get(_content(answer, columns)):
            pairs.append((answer, others.pop()))
    if not pairs:
        raise InputError(
            f"has no row of {first.journal}: they are runs of different inputs",
            where=str(second.journal),
            hint="make a report of each",
        )
    return Match(by="content", columns=columns, pairs=tuple(pairs))


def _content(answer: RowAnswer, columns: Sequence[str]) -> str:
    return json.dumps([answer.input.get(name) for name in columns], sort_keys=True)
