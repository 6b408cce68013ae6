"""Means of losses over rows, with bootstrap intervals."""

from __future__ import annotations

import numpy as np

from autocog_core.numerics import Float64Array
from autocog_core.reports.figures.definitions import Mean
from autocog_core.reports.figures.resampling import Interval, bootstrap_interval


def mean_of(values: Float64Array) -> Mean:
    """Return the mean of some values, and its interval.

    :param values: (n,), without NaN; infinite ones are allowed.
    """
    finite = values[np.isfinite(values)]
    infinite = len(values) - len(finite)
    value = float(finite.mean()) if len(finite) else None
    interval = bootstrap_interval(finite[:, None], lambda sums: sums[..., 0] / len(finite))
    return Mean(
        rows=len(values),
        value=None if infinite else value,
        interval=interval,
        infinite=infinite,
        infinite_below=int(np.isneginf(values).sum()),
        value_without_infinite=value,
    )


def known_mean(values: Float64Array) -> Mean | None:
    """Return the mean of some values; None without values, or if one of them is unknown."""
    return mean_of(values) if len(values) and not np.isnan(values).any() else None


def brier_bounds(bounds: Float64Array, rights: Float64Array) -> Interval | None:
    """Return the lowest and the highest mean of (probability - right)**2.

    :param bounds: (n, 2), the lowest and the highest probability of each answer.
    :param rights: (n,), 1 for right answers and 0 for wrong ones.
    :returns: None if a bound is unknown, or without rows.
    """
    if not len(rights) or np.isnan(bounds).any():
        return None
    errors = np.sort((bounds - rights[:, None]) ** 2, axis=1)
    low, high = errors.mean(axis=0)
    return float(low), float(high)
