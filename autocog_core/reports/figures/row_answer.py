"""What a report needs to know about one output row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autocog_core.dataset.expected import Gold, find_right_choice, is_right_row
from autocog_core.dataset.output_row import last_value
from autocog_core.dataset.table_fields import TableField
from autocog_core.numerics import Float64Array
from autocog_core.types.choice_value import value_text

#: Shares of all choices sum to 1, within this.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class RowAnswer:
    """An output row as numbers.

    :ivar row: index of the input row.
    :ivar input: the input row.
    :ivar error: why the row has no answer; "" if it has one, or lacks the field.
    :ivar is_stopped: whether a budget made it incomplete.
    :ivar is_exact: whether its numbers are the model's.
    :ivar tokens: tokens that the models evaluated.
    :ivar answer: the value of the field as text; None without one.
    :ivar right: whether the answer is right; None if it or the right answer is missing.
    :ivar gold: the right answer as text: as it is written in the choice that it is, otherwise as in
        its column; None if it is missing.
    :ivar has_right_choice: whether the right answer is among the choices; None if unknown.
    :ivar prob: the share of the answer; NaN if it is unknown.
    :ivar bounds: the lowest and the highest value of `prob`; NaN if they are unknown.
    :ivar gold_prob: the share of the right answer; NaN if it is unknown, or is no choice.
    :ivar labels: the values of the choices whose shares are known, as text.
    :ivar shares: (n,), their shares.
    :ivar is_whole: whether these are all choices.
    """

    row: int
    input: Mapping[str, Any]
    error: str = ""
    is_stopped: bool = False
    is_exact: bool = True
    tokens: int = 0
    answer: str | None = None
    right: bool | None = None
    gold: str | None = None
    has_right_choice: bool | None = None
    prob: float = math.nan
    bounds: tuple[float, float] = (math.nan, math.nan)
    gold_prob: float = math.nan
    labels: tuple[str, ...] = ()
    shares: Float64Array
    is_whole: bool = False

    @property
    def loss(self) -> float:
        """-log of the share of the right answer, in nats; NaN if it is unknown."""
        if math.isnan(self.gold_prob):
            return math.nan
        return -math.log(self.gold_prob) if self.gold_prob > 0 else math.inf

    @property
    def squared_errors(self) -> float:
        """Sum over all choices of (share - right)**2; NaN if not all shares are known."""
        if self.right is None or not self.is_whole or self.has_right_choice is None:
            return math.nan
        # (p - 1)**2 in place of p**2 for the right one. No choice is right: 1 is missing.
        gold_prob = self.gold_prob if self.has_right_choice else 0.0
        return float((self.shares**2).sum()) - 2 * gold_prob + 1


def with_gold(row: Mapping[str, Any], gold: Gold | None, field: TableField | None) -> Any:
    """Return an output row with the right answer of another column than the run was given.

    :param row: the output row.
    :param gold: the field and the column; None keeps the right answer of the row.
    :param field: the field of the program; None if it has none.
    """
    if gold is None:
        return row
    right = gold.right_answer(row.get("input") or {})
    changed = {name: value for name, value in row.items() if name != "gold_choice"}
    changed["gold"] = right
    if row["error"] is not None or field is None or not field.is_choice or right is None:
        return changed
    chosen = last_value(row["fields"].get(gold.field))
    choices = _choices(row, field)
    if chosen is None or choices is None:
        return changed
    found = find_right_choice(choices, right, value_text(chosen))
    is_chosen = found is not None and value_text(found) == value_text(chosen)
    changed["gold_choice"] = chosen if is_chosen else found
    return changed


def read_answer(
    row: Mapping[str, Any], field: TableField | None, labels: dict[tuple[str, ...], tuple[str, ...]]
) -> RowAnswer:
    """Return what a report needs of an output row.

    :param row: the output row.
    :param field: the field that the report is about.
    :param labels: the labels of earlier rows, so that equal ones are one object.
    """
    nothing = np.zeros(0)
    start: dict[str, Any] = {
        "row": row["row"], "input": row.get("input") or {}, "gold": row.get("gold"),
    }  # fmt: skip
    if row["error"] is not None:
        error = row["error"]
        text = ": ".join(part for part in (error["where"], error["message"]) if part)
        return RowAnswer(**start, error=text or "an error", shares=nothing)
    start |= {
        "is_stopped": row["stopped_by"] is not None,
        "is_exact": row["exact"],
        "tokens": row["tokens_evaluated"],
    }
    name = "" if field is None else field.name
    answer = last_value(row["fields"].get(name))
    if field is None or answer is None:
        return RowAnswer(**start, shares=nothing)
    distribution = last_value(row["distribution"].get(name))
    shares = distribution if isinstance(distribution, dict) else {}
    values = np.fromiter(shares.values(), dtype=np.float64, count=len(shares))
    prob = last_value(row["probs"].get(name))
    is_known = isinstance(prob, float | int) and _count(row["probs"][name]) == _count(
        row["fields"][name]
    )
    gold_choice = row.get("gold_choice")
    if gold_choice is not None:
        # "1.0" is right for the choice "1".
        start["gold"] = value_text(gold_choice)
    is_whole = bool(len(values)) and abs(float(values.sum()) - 1) < _ROUNDING
    if field.has_bounds:
        # What is left for choices that are not there may be less than the rounding.
        is_whole = is_whole and field.values is not None and len(values) >= len(field.values)
    return RowAnswer(
        **start,
        answer=value_text(answer),
        right=is_right_row(row, name),
        has_right_choice=gold_choice is not None if "gold_choice" in row else None,
        prob=float(prob) if is_known else math.nan,
        bounds=_bounds(row, name, float(prob) if is_known else None),
        gold_prob=_share(shares, gold_choice, is_whole=is_whole),
        labels=labels.setdefault(key := tuple(shares), key),
        shares=values,
        is_whole=is_whole,
    )


def _choices(row: Mapping[str, Any], field: TableField) -> Sequence[Any] | None:
    """Return the values of a row's choices; None if only the best ones are known."""
    if field.values is not None:
        return field.values
    distribution = last_value(row["distribution"].get(field.name))
    is_whole = isinstance(distribution, dict) and not field.has_bounds
    return list(distribution) if is_whole and isinstance(distribution, dict) else None


def _share(shares: Mapping[str, float], value: Any, *, is_whole: bool) -> float:
    if value is None:
        return math.nan
    # Records leave out no choice, and a share of 0 is one.
    return float(shares.get(value_text(value), 0.0 if is_whole else math.nan))


def _bounds(row: Mapping[str, Any], name: str, prob: float | None) -> tuple[float, float]:
    if prob is not None:
        return prob, prob
    bounds = (row.get("prob_bounds") or {}).get(name)
    # Of a field that occurs several times: a list of pairs.
    if isinstance(bounds, list) and bounds and isinstance(bounds[0], list):
        bounds = bounds[-1]
    if isinstance(bounds, list) and len(bounds) == 2 and None not in bounds:
        return float(bounds[0]), float(bounds[1])
    return math.nan, math.nan


def _count(value: Any) -> int:
    return len(value) if isinstance(value, list) else 1
