"""All figures of one run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autocog_core.errors import InputError, did_you_mean
from autocog_core.numerics import Float64Array
from autocog_core.reports.figures.calibration_figures import (
    calibration_error,
    proportion,
    reliability,
    risk_coverage,
)
from autocog_core.reports.figures.costs import costs_of
from autocog_core.reports.figures.definitions import Group, Proportion, RowError, RunFigures
from autocog_core.reports.figures.loss_figures import brier_bounds, known_mean
from autocog_core.reports.figures.resampling import Interval
from autocog_core.reports.figures.row_answer import RowAnswer
from autocog_core.reports.figures.run_columns import RunColumns
from autocog_core.reports.figures.tallies import confusion, count_answers, histogram

_MAX_ERRORS = 100
_MAX_GROUPS = 100


def run_figures(run: RunColumns, by: str | None = None) -> RunFigures:
    """Return the figures of a run.

    :param run: its rows.
    :param by: the column of the input that divides the rows into groups; None for no groups.
    :raises InputError: if there is no such column.
    """
    if by is not None and by not in run.columns:
        message = f'{run.journal}: the rows have no column "{by}"'
        raise InputError(message, where="by", hint=did_you_mean(by, run.columns))
    is_answered = np.array([one.answer is not None for one in run.answers])
    judged = run.is_judged
    probs, rights = run.probs[judged], run.rights[judged]
    bounds = run.floats("bounds").reshape(-1, 2)
    has_probs = bool(judged.any()) and not np.isnan(probs).any()
    failed = [one for one in run.answers if one.error]
    return RunFigures(
        **_about(run),
        by=by,
        rows=len(run.answers),
        errors=len(failed),
        stopped=sum(one.is_stopped for one in run.answers),
        inexact=sum(not one.is_exact for one in run.answers),
        answered=int(is_answered.sum()),
        judged=int(judged.sum()),
        impossible=0 if run.accuracy is None else run.accuracy.impossible,
        known_probs=int((~np.isnan(run.probs)).sum()),
        mean_prob=_mean(run.probs[is_answered]),
        mean_prob_bounds=_mean_bounds(bounds[is_answered]),
        accuracy=_accuracy(run),
        log_loss=known_mean(_losses(run.answers)),
        brier=known_mean((probs - rights) ** 2) if has_probs else None,
        brier_bounds=None if has_probs else brier_bounds(bounds[judged], rights),
        brier_all=known_mean(run.floats("squared_errors")[judged]),
        calibration_error=(calibration_error(probs, rights) if has_probs else None),
        reliability=reliability(probs, rights) if has_probs else (),
        risk_coverage=_risk_coverage(bounds[judged, 0], rights),
        answers=count_answers(run.answers),
        confusion=confusion(run.answers),
        histogram=(
            histogram(run.probs[is_answered], run.rights[is_answered])
            if is_answered.any() and not np.isnan(run.probs[is_answered]).any()
            else ()
        ),
        **_groups(run, by),
        costs=costs_of(run),
        first_errors=tuple(
            RowError(row=one.row, message=one.error) for one in failed[:_MAX_ERRORS]
        ),
    )


def _about(run: RunColumns) -> dict[str, Any]:
    sessions = run.sessions
    given = run.identity.get("model")
    model = given if isinstance(given, dict) else {}
    return {
        "name": run.name,
        "file": str(run.journal),
        "program": sessions[0].program if sessions else "",
        "program_digest": str(run.identity.get("program", "")),
        "model": str(model.get("name", "")),
        "fingerprint": str(model.get("fingerprint", "")),
        "backend": sessions[0].backend if sessions else "",
        "started": sessions[0].started if sessions else "",
        "version": str(run.identity.get("version of autocog", "")),
        "field": None if run.field is None else run.field.name,
        "gold": run.gold,
    }


def _accuracy(run: RunColumns) -> Proportion | None:
    accuracy = run.accuracy
    if accuracy is None or not accuracy.answered:
        return None
    return proportion(accuracy.right, accuracy.answered)


def _losses(answers: Sequence[RowAnswer]) -> Float64Array:
    """Return the losses of rows with a right answer that is one of their choices."""
    judged = [one for one in answers if one.right is not None and one.has_right_choice is not False]
    return np.array([one.loss for one in judged], dtype=np.float64)


def _mean(values: Float64Array) -> float | None:
    return float(values.mean()) if len(values) and not np.isnan(values).any() else None


def _mean_bounds(bounds: Float64Array) -> Interval | None:
    if not len(bounds) or np.isnan(bounds).any() or (bounds[:, 0] == bounds[:, 1]).all():
        return None
    low, high = bounds.mean(axis=0)
    return float(low), float(high)


def _risk_coverage(probs: Float64Array, rights: Float64Array) -> Any:
    # Any order says something: that of the lowest values, where probabilities have bounds.
    return risk_coverage(probs, rights) if len(probs) and not np.isnan(probs).any() else None


def _groups(run: RunColumns, by: str | None) -> dict[str, Any]:
    members: dict[str, list[RowAnswer]] = {}
    for one in run.answers if by is not None else ():
        members.setdefault(run.group_of(one, str(by)), []).append(one)
    largest = sorted(members.items(), key=lambda entry: (-len(entry[1]), entry[0]))
    shown = largest[:_MAX_GROUPS]
    return {
        "groups": tuple(_group(value, answers) for value, answers in shown),
        "groups_left_out": len(largest) - len(shown),
    }


def _group(value: str, answers: Sequence[RowAnswer]) -> Group:
    judged = [one for one in answers if one.right is not None]
    right = sum(bool(one.right) for one in judged)
    errors = sum(bool(one.error) for one in answers)
    squares = [(one.prob - float(bool(one.right))) ** 2 for one in judged]
    probs = [one.prob for one in answers if one.answer is not None]
    return Group(
        value=value,
        rows=len(answers) - errors,
        errors=errors,
        mean_prob=_mean(np.array(probs, dtype=np.float64)),
        accuracy=proportion(right, len(judged)) if judged else None,
        log_loss=known_mean(_losses(answers)),
        brier=known_mean(np.array(squares, dtype=np.float64)),
    )
