"""How well probabilities agree with how often the answers are right."""

from __future__ import annotations

import numpy as np

from autocog_core.dataset.calibration import BINS, bins_of, error_of_gaps
from autocog_core.numerics import Float64Array, wilson_interval
from autocog_core.reports.figures.definitions import (
    CalibrationError,
    CoveragePoint,
    Proportion,
    ReliabilityBin,
    RiskCoverage,
)
from autocog_core.reports.figures.resampling import SEED, bootstrap_interval, chunks

#: Rows of a bin of the reliability diagram, at least, unless there is only one bin.
_MIN_BIN_ROWS = 10
_MAX_BINS = 10
_MAX_POINTS = 100


def proportion(count: int, rows: int) -> Proportion:
    """Return a share with its interval."""
    return Proportion(
        count=count, rows=rows, value=count / rows, interval=wilson_interval(count, rows)
    )


def gap_columns(probs: Float64Array, rights: Float64Array) -> Float64Array:
    """Return probability - right of each row in the column of its bin: (n,), (n,) -> (n, BINS)."""
    columns = np.zeros((len(probs), BINS))
    columns[np.arange(len(probs)), bins_of(probs)] = probs - rights
    return columns


def calibration_error(probs: Float64Array, rights: Float64Array) -> CalibrationError:
    """Return the expected calibration error, with its interval and what chance alone gives.

    :param probs: (n,), the probabilities of the answers, at least one.
    :param rights: (n,), 1 for right answers and 0 for wrong ones.
    """
    count = len(probs)
    gaps = gap_columns(probs, rights)
    chance = _errors_if_calibrated(probs)
    return CalibrationError(
        rows=count,
        value=float(error_of_gaps(gaps.sum(axis=0), count)),
        interval=bootstrap_interval(gaps, lambda sums: error_of_gaps(sums, count)),
        if_calibrated=float(chance.mean()),
        limit_if_calibrated=float(np.quantile(chance, 0.95)),
    )


def _errors_if_calibrated(probs: Float64Array) -> Float64Array:
    """Return errors of answers that are right with exactly these probabilities: (RESAMPLES,)."""
    draws = np.random.default_rng(SEED)
    # (n, BINS): 1 in the bin of each row.
    in_bin = np.eye(BINS)[bins_of(probs)]
    parts = []
    for size in chunks(len(probs)):
        gaps = probs - (draws.random((size, len(probs))) < probs)
        parts.append(error_of_gaps(gaps @ in_bin, len(probs)))
    return np.concatenate(parts)


def reliability(probs: Float64Array, rights: Float64Array) -> tuple[ReliabilityBin, ...]:
    """Return bins of about equal numbers of rows; equal probabilities are in one bin.

    :param probs: (n,), the probabilities of the answers, at least one.
    :param rights: (n,), 1 for right answers and 0 for wrong ones.
    """
    count = max(1, min(_MAX_BINS, len(probs) // _MIN_BIN_ROWS))
    edges = np.quantile(probs, np.linspace(0, 1, count + 1))
    bins = np.searchsorted(edges[1:-1], probs)
    found = []
    for index in np.unique(bins):
        inside = bins == index
        right = int(rights[inside].sum())
        found.append(
            ReliabilityBin(
                low=float(probs[inside].min()),
                high=float(probs[inside].max()),
                mean_prob=float(probs[inside].mean()),
                right=proportion(right, int(inside.sum())),
            )
        )
    return tuple(found)


def risk_coverage(probs: Float64Array, rights: Float64Array) -> RiskCoverage:
    """Return the share of wrong answers among the surest rows, for all numbers of rows.

    :param probs: (n,), the probabilities of the answers, at least one.
    :param rights: (n,), 1 for right answers and 0 for wrong ones.
    """
    order = np.argsort(-probs, kind="stable")
    risks = _risks(probs[order], 1 - rights[order])
    count = len(probs)
    best = np.cumsum(np.sort(1 - rights)) / np.arange(1, count + 1)
    shown = np.unique(np.linspace(1, count, min(count, _MAX_POINTS)).round().astype(int))
    return RiskCoverage(
        area=float(risks.mean()),
        best_area=float(best.mean()),
        points=tuple(
            CoveragePoint(
                coverage=float(rows / count),
                risk=float(risks[rows - 1]),
                prob=float(probs[order][rows - 1]),
            )
            for rows in shown.tolist()
        ),
    )


def _risks(probs: Float64Array, wrongs: Float64Array) -> Float64Array:
    """Return the risk among the first 1, ..., n rows; in the mean, of rows with one probability.

    :param probs: (n,), from high to low.
    :param wrongs: (n,), 1 for wrong answers.
    """
    _, group, sizes = np.unique(-probs, return_inverse=True, return_counts=True)
    means = np.bincount(group, wrongs) / sizes
    risks = np.cumsum(means[group]) / np.arange(1, len(probs) + 1)
    return np.asarray(risks, dtype=np.float64)
