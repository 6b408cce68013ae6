"""The rows of a report for its page: compact, those of the highest loss first."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from autocog_core.controls import picture_controls
from autocog_core.errors import shorten
from autocog_core.reports.figures.row_answer import RowAnswer
from autocog_core.reports.figures.tallies import right_label
from autocog_core.reports.report import Report
from autocog_core.types.choice_value import value_text

#: Rows and characters of the list, so that the page opens at once.
MAX_ROWS = 10_000
MAX_CHARACTERS = 10_000_000
_MAX_CELL = 600
#: Alternatives of an answer that the page has, beside the right answer.
_MAX_ALTERNATIVES = 5


def row_list(report: Report) -> dict[str, Any]:
    """Return the rows of the first run, with those of the others beside them, as plain data.

    `rows` are lists: number, cells of the input, right answer, and for each run an answer (see
    `_answer`), or None where it lacks the row.
    """
    first = report.runs[0]
    partners = [{one.row: other for one, other in match.pairs} for match in report.matches]
    labels: dict[str, int] = {}
    rows: list[Any] = []
    size = 0
    ordered = sorted(first.answers, key=sort_key, reverse=True)
    for answer in ordered[:MAX_ROWS]:
        cells = [_cell(answer.input, column) for column in first.columns]
        gold = None if answer.gold is None else _visible(_gold(answer))
        others = [found.get(answer.row) for found in partners]
        row = [answer.row, cells, gold, [_answer(one, labels) for one in (answer, *others)]]
        size += len(json.dumps(row))
        if size > MAX_CHARACTERS:
            break
        rows.append(row)
    return {
        "columns": [_visible(column) for column in first.columns],
        "labels": list(labels),
        "runs": [_visible(run.name) for run in report.runs],
        "rows": rows,
        "all_rows": len(ordered),
        "has_gold": first.gold is not None,
    }


def sort_key(answer: RowAnswer) -> tuple[float, ...]:
    """Return what ranks the rows: those with the highest loss, then those that are least sure."""
    if answer.error:
        return (0.0, -answer.row)
    loss = lowest_loss(answer)
    if answer.right is None or math.isnan(loss):
        low = 1.0 if math.isnan(answer.bounds[0]) else answer.bounds[0]
        return (1.0, 0.0 if answer.answer is None else 2 - low, -answer.row)
    return (2.0, loss, -answer.row)


def lowest_loss(answer: RowAnswer) -> float:
    """Return the loss of a row, or its lowest possible value; NaN if nothing is known."""
    if answer.right is None or not math.isnan(answer.loss):
        return answer.loss
    if answer.has_right_choice is False:
        return math.inf
    low, high = answer.bounds
    # Of a wrong answer, the right one has at most what is left.
    share = high if answer.right else 1 - low
    return math.nan if math.isnan(share) else -math.log(min(1.0, max(share, 1e-300)))


def _answer(answer: RowAnswer | None, labels: dict[str, int]) -> list[Any] | None:
    """Return an answer as a list.

    In it are label, probability, lowest and highest probability, loss, whether the loss is a lower
    bound, whether it is right, error, alternatives, and the number and the share of the
    alternatives that are left out.
    """
    if answer is None:
        return None
    is_bound = math.isnan(answer.loss) and answer.right is not None
    alternatives, rest = _alternatives(answer)
    label = None if answer.answer is None else _label(answer.answer, labels)
    return [
        label,
        _number(answer.prob),
        *map(_number, answer.bounds),
        _loss(lowest_loss(answer)),
        int(is_bound),
        None if answer.right is None else int(answer.right),
        _visible(shorten(answer.error, _MAX_CELL)) or None,
        [[_label(name, labels), _number(share)] for name, share in alternatives],
        rest,
    ]


def _alternatives(answer: RowAnswer) -> tuple[list[tuple[str, float]], list[Any] | None]:
    """Return the likeliest alternatives with the right one, and what is left."""
    pairs = sorted(
        zip(answer.labels, answer.shares.tolist(), strict=True), key=lambda pair: -pair[1]
    )
    wanted = {answer.answer, _gold(answer)}
    shown = [
        pair for index, pair in enumerate(pairs) if index < _MAX_ALTERNATIVES or pair[0] in wanted
    ]
    if len(shown) == len(pairs):
        return shown, None
    left = math.fsum(share for _, share in pairs) - math.fsum(share for _, share in shown)
    return shown, [len(pairs) - len(shown), _number(max(0.0, left))]


def _gold(answer: RowAnswer) -> str:
    return "" if answer.gold is None else right_label(answer)


def _label(text: str, labels: dict[str, int]) -> int:
    return labels.setdefault(_visible(shorten(text, _MAX_CELL)), len(labels))


def _cell(row: Mapping[str, Any], column: str) -> str | None:
    value = row.get(column)
    return None if value is None else _visible(shorten(value_text(value), _MAX_CELL))


def _visible(text: str) -> str:
    return picture_controls(text)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(f"{value:.4g}")


def _loss(value: float) -> float | str | None:
    # JSON has no infinity.
    return "inf" if value == math.inf else _number(value)


def highest_losses(answers: Sequence[RowAnswer], count: int) -> list[RowAnswer]:
    """Return the rows that come first in the list."""
    return sorted(answers, key=sort_key, reverse=True)[:count]
