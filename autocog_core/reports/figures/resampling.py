"""Bootstrap: how far a figure moves if the rows are drawn again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from autocog_core.numerics import Float64Array

#: Draws of the rows, and the seed of the draws: equal rows have equal intervals.
RESAMPLES = 2_000
SEED = 0
#: Numbers in memory at once.
_MAX_NUMBERS = 500_000
#: The ends of a 95% interval.
_ENDS = (0.025, 0.975)

Interval = tuple[float, float]


def resampled_sums(columns: Float64Array) -> Float64Array:
    """Return the sums of columns over rows that are drawn with replacement.

    Figures that are functions of sums take one pass over the draws, whatever their number.

    :param columns: (n, k), finite; n at least 1.
    :returns: (RESAMPLES, k).
    """
    count = len(columns)
    draws = np.random.default_rng(SEED)
    parts = []
    for size in chunks(count):
        drawn = draws.integers(0, count, (size, count))
        # (size, count): how often each row is drawn.
        offsets = count * np.arange(size)[:, None]
        times = np.bincount((drawn + offsets).ravel(), minlength=size * count)
        parts.append(times.reshape(size, count) @ columns)
    return np.concatenate(parts)


def chunks(count: int) -> Iterator[int]:
    """Yield numbers of draws with the sum RESAMPLES, each of which takes little memory.

    :param count: the number of rows, at least 1.
    """
    size = max(1, _MAX_NUMBERS // count)
    for start in range(0, RESAMPLES, size):
        yield min(size, RESAMPLES - start)


def bootstrap_interval(
    columns: Float64Array, figure: Callable[[Float64Array], Float64Array]
) -> Interval | None:
    """Return the 95% percentile interval of a figure (Efron and Tibshirani 1993, chapter 13).

    :param columns: (n, k), finite.
    :param figure: returns the figure of sums of these columns: (..., k) -> (...,).
    :returns: None for fewer than two rows.
    """
    if len(columns) < 2:
        return None
    return percentile_interval(figure(resampled_sums(columns)))


def percentile_interval(values: Float64Array) -> Interval:
    """Return what the middle 95% of values lie between."""
    low, high = np.quantile(values, _ENDS)
    return float(low), float(high)
