"""How two runs differ on the same rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autocog_core.dataset.calibration import BINS, error_of_gaps
from autocog_core.dataset.norm_comparison import mcnemar_p_value
from autocog_core.numerics import Float64Array, divergence
from autocog_core.reports.figures.calibration_figures import gap_columns, proportion
from autocog_core.reports.figures.definitions import Mean
from autocog_core.reports.figures.loss_figures import known_mean, mean_of
from autocog_core.reports.figures.matching import Match
from autocog_core.reports.figures.report_definitions import Change, Flip, PairFigures
from autocog_core.reports.figures.resampling import bootstrap_interval
from autocog_core.reports.figures.row_answer import RowAnswer
from autocog_core.reports.figures.run_columns import RunColumns

Pair = tuple[RowAnswer, RowAnswer]


def pair_figures(first: RunColumns, second: RunColumns, match: Match) -> PairFigures:
    """Return how a run differs from another one.

    :param first: the run that it is compared with.
    :param second: the run.
    :param match: their common rows.
    """
    compared = [
        pair for pair in match.pairs if pair[0].answer is not None and pair[1].answer is not None
    ]
    judged = [pair for pair in compared if pair[0].right is not None and pair[1].right is not None]
    same = sum(one.answer == other.answer for one, other in compared)
    only_first = sum(bool(one.right) and not other.right for one, other in judged)
    only_second = sum(bool(other.right) and not one.right for one, other in judged)
    divergences = _divergences(compared)
    finite = divergences[np.isfinite(divergences)]
    return PairFigures(
        first=first.name,
        second=second.name,
        matched_by=match.by,
        columns=match.columns,
        rows=len(match.pairs),
        left_out_first=len(first.answers) - len(match.pairs),
        left_out_second=len(second.answers) - len(match.pairs),
        compared=len(compared),
        judged=len(judged),
        same_answers=proportion(same, len(compared)) if compared else None,
        only_first=only_first,
        only_second=only_second,
        p_value=mcnemar_p_value(only_second, only_first) if judged else None,
        accuracy=known_mean(_differences(judged, "right")),
        log_loss=_log_loss(judged),
        brier=known_mean(_square_differences(judged)),
        calibration_error=_calibration_error(judged),
        divergence=known_mean(divergences),
        largest_divergence=float(finite.max()) if len(finite) else None,
        other_choices=len(compared) - len(divergences),
        flips=tuple(_flip(*pair) for pair in compared if pair[0].answer != pair[1].answer),
    )


def _flip(one: RowAnswer, other: RowAnswer) -> Flip:
    change: Change = "other"
    if one.right is not None and other.right is not None and one.right != other.right:
        change = "fixed" if other.right else "broken"
    return Flip(
        row=one.row,
        second_row=other.row,
        first=str(one.answer),
        second=str(other.answer),
        gold=one.gold,
        change=change,
    )


def _values(pairs: Sequence[Pair], name: str) -> Float64Array:
    """Return a number of each row in both runs: (n, 2)."""
    rows = [[float(getattr(answer, name)) for answer in pair] for pair in pairs]
    return np.array(rows, dtype=np.float64).reshape(-1, 2)


def _differences(pairs: Sequence[Pair], name: str) -> Float64Array:
    values = _values(pairs, name)
    return values[:, 1] - values[:, 0]


def _square_differences(pairs: Sequence[Pair]) -> Float64Array:
    squares = (_values(pairs, "prob") - _values(pairs, "right")) ** 2
    return squares[:, 1] - squares[:, 0]


def _log_loss(judged: Sequence[Pair]) -> Mean | None:
    """Return the mean difference of the losses; None if a share of a right choice is unknown."""
    possible = [pair for pair in judged if all(one.has_right_choice is not False for one in pair)]
    losses = _values(possible, "loss")
    if not len(losses) or np.isnan(losses).any():
        return None
    # If both are infinite, they do not differ; if one is, they differ infinitely.
    equal = losses[:, 0] == losses[:, 1]
    return mean_of(np.where(equal, 0.0, losses[:, 1] - np.where(equal, 0.0, losses[:, 0])))


def _calibration_error(judged: Sequence[Pair]) -> Mean | None:
    probs, rights = _values(judged, "prob"), _values(judged, "right")
    count = len(judged)
    if not count or np.isnan(probs).any():
        return None
    # (n, 2 * BINS): the gaps of the first run, then those of the second.
    gaps = np.hstack([gap_columns(probs[:, side], rights[:, side]) for side in (0, 1)])

    def difference(sums: Float64Array) -> Float64Array:
        second = error_of_gaps(sums[..., BINS:], count)
        return np.asarray(second - error_of_gaps(sums[..., :BINS], count))

    return Mean(
        rows=count,
        value=float(difference(gaps.sum(axis=0))),
        interval=bootstrap_interval(gaps, difference),
        value_without_infinite=float(difference(gaps.sum(axis=0))),
    )


def _divergences(compared: Sequence[Pair]) -> Float64Array:
    """Return KL(first || second) of the rows that have the same choices in both runs."""
    values = []
    for one, other in compared:
        if not (one.is_whole and other.is_whole):
            continue
        shares = other.shares
        if one.labels != other.labels:
            if set(one.labels) != set(other.labels):
                continue
            by_label = dict(zip(other.labels, shares.tolist(), strict=True))
            shares = np.array([by_label[label] for label in one.labels])
        with np.errstate(divide="ignore"):
            values.append(divergence(np.log(one.shares), np.log(shares)))
    return np.array(values, dtype=np.float64)
