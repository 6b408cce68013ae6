"""Figures of reports, compared with scikit-learn, scipy, statsmodels and with plain loops."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from autocog_core.dataset.calibration import Calibration
from autocog_core.dataset.norm_comparison import mcnemar_p_value
from autocog_core.numerics import divergence
from autocog_core.reports.figures.calibration_figures import (
    calibration_error,
    gap_columns,
    proportion,
    reliability,
    risk_coverage,
)
from autocog_core.reports.figures.loss_figures import brier_bounds, known_mean, mean_of
from autocog_core.reports.figures.resampling import RESAMPLES, SEED, resampled_sums
from autocog_core.reports.figures.tallies import histogram
from autocog_core.reports.number_table import Cell, format_figure
from tests.support.soak import count

stats = pytest.importorskip("scipy.stats")
calibration = pytest.importorskip("sklearn.calibration")
metrics = pytest.importorskip("sklearn.metrics")
proportions = pytest.importorskip("statsmodels.stats.proportion")
tables = pytest.importorskip("statsmodels.stats.contingency_tables")


def drawn_answers(seed: int, rows: int = 200) -> tuple[Any, Any]:
    """Probabilities, some of them equal, and whether the answers are right."""
    draws = np.random.default_rng(seed)
    probs = draws.beta(2, 1, rows)
    probs[: rows // 4] = np.round(probs[: rows // 4], 1)
    return probs, (draws.random(rows) < probs**2).astype(float)


@pytest.mark.parametrize("seed", range(3))
def test_figures_equal_those_of_scikit_learn_and_statsmodels(seed: int) -> None:
    probs, rights = drawn_answers(seed)
    rows, right = len(rights), int(rights.sum())
    share = proportion(right, rows)
    expected = proportions.proportion_confint(right, rows, method="wilson")
    assert share.interval == pytest.approx(expected, abs=1e-12)
    brier = known_mean((probs - rights) ** 2)
    assert brier is not None
    assert brier.value == pytest.approx(metrics.brier_score_loss(rights, probs))
    bins = reliability(probs, rights)
    shares, means = calibration.calibration_curve(rights, probs, n_bins=10, strategy="quantile")
    assert [entry.right.value for entry in bins] == pytest.approx(shares)
    assert [entry.mean_prob for entry in bins] == pytest.approx(means)
    assert sum(entry.right.rows for entry in bins) == rows
    assert all(one.high <= other.low for one, other in pairwise(bins))


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (3, 3), (12, 4), (0, 7), (400, 300)])
def test_mcnemar_equals_that_of_statsmodels(gained: int, lost: int) -> None:
    table = [[10, gained], [lost, 10]]
    expected = tables.mcnemar(table, exact=True).pvalue if gained + lost else 1.0
    assert mcnemar_p_value(gained, lost) == pytest.approx(expected)


def test_kl_equals_that_of_scipy() -> None:
    draws = np.random.default_rng(0)
    first, second = draws.dirichlet(np.ones(9), size=2)
    assert divergence(np.log(first), np.log(second)) == pytest.approx(stats.entropy(first, second))


def test_bootstrap_sums_are_those_of_drawn_rows() -> None:
    columns = np.random.default_rng(1).normal(size=(30, 3))
    draws = np.random.default_rng(SEED)
    slow = [columns[draws.integers(0, 30, 30)].sum(axis=0) for _ in range(RESAMPLES)]
    np.testing.assert_allclose(resampled_sums(columns), slow, atol=1e-12)


def test_bootstrap_intervals_are_near_those_of_scipy() -> None:
    probs, rights = drawn_answers(5)
    losses = -np.log(np.where(rights == 1, probs, 1 - probs).clip(1e-6))
    found = mean_of(losses).interval
    options: dict[str, Any] = {"method": "percentile", "n_resamples": RESAMPLES, "rng": 1}
    expected = stats.bootstrap((losses,), np.mean, **options).confidence_interval
    assert found == pytest.approx(tuple(expected), abs=0.1 * losses.std() / math.sqrt(len(losses)))

    def error(indices: Any, axis: int = -1) -> Any:
        del axis
        gaps = gap_columns(probs, rights)[indices.astype(int)].sum(axis=-2)
        return np.abs(gaps).sum(axis=-1) / len(probs)

    expected = stats.bootstrap((np.arange(200),), error, **options).confidence_interval
    interval = calibration_error(probs, rights).interval
    assert interval == pytest.approx(tuple(expected), abs=0.005)


def test_calibration_error_is_that_of_the_summary() -> None:
    probs, rights = drawn_answers(2)
    sums = Calibration()
    for prob, right in zip(probs.tolist(), rights.tolist(), strict=True):
        sums.add(prob, bool(right))
    found = calibration_error(probs, rights)
    assert found.value == pytest.approx(sums.error, abs=1e-12)
    assert found.interval is not None
    assert found.interval[0] < found.value < found.interval[1]


def test_calibrated_answers_are_within_what_chance_gives() -> None:
    draws = np.random.default_rng(8)
    probs = draws.random(300)
    outside, trials = 0, count(normal=3, soak=100)
    for _ in range(trials):
        found = calibration_error(probs, (draws.random(300) < probs).astype(float))
        outside += found.value > found.limit_if_calibrated
    assert found.if_calibrated < found.limit_if_calibrated
    # 5% of them, and chance: less than 1 in 10,000 trials of this test has more.
    assert outside <= stats.binom.ppf(0.9999, trials, 0.05)


def test_risk_is_that_of_the_surest_rows() -> None:
    probs, rights = drawn_answers(4, 60)
    found = risk_coverage(probs, rights)
    order = sorted(range(60), key=lambda row: -probs[row])
    # Of rows with equal probabilities, each order is as likely: the mean over many of them.
    draws = np.random.default_rng(0)
    curves = []
    for _ in range(count(normal=150, soak=2_000)):
        shuffled = sorted(draws.permutation(60).tolist(), key=lambda row: -probs[row])
        curves.append([1 - rights[shuffled[: k + 1]].mean() for k in range(60)])
    expected = np.mean(curves, axis=0)
    assert found.area == pytest.approx(expected.mean(), abs=0.005)
    assert [point.risk for point in found.points] == pytest.approx(expected, abs=0.08)
    assert [point.coverage for point in found.points] == pytest.approx(np.arange(1, 61) / 60)
    assert [point.prob for point in found.points] == pytest.approx(probs[order])
    best = sorted(rights.tolist(), reverse=True)
    curve = [1 - np.mean(best[: k + 1]) for k in range(60)]
    assert found.best_area == pytest.approx(np.mean(curve))
    assert found.points[-1].risk == pytest.approx(1 - rights.mean())


def test_infinite_losses_are_counted_apart() -> None:
    found = mean_of(np.array([1.0, math.inf, 3.0]))
    assert (found.rows, found.value, found.infinite) == (3, None, 1)
    assert found.value_without_infinite == 2
    assert format_figure(found).text == "∞"
    # A difference of losses, of which the first is infinite.
    found = mean_of(np.array([1.0, -math.inf, 3.0]))
    assert (found.value, found.infinite, found.infinite_below) == (None, 1, 1)
    assert format_figure(found) == Cell("-∞", "1 of 3 rows are infinite")
    assert format_figure(mean_of(np.array([math.inf, -math.inf]))).text == "±∞"
    assert known_mean(np.array([1.0, math.nan])) is None
    assert known_mean(np.array([])) is None
    assert mean_of(np.array([1.0])).interval is None


def test_brier_bounds_hold_all_scores_within_the_bounds() -> None:
    draws = np.random.default_rng(3)
    bounds = np.sort(draws.random((20, 2)), axis=1)
    rights = draws.integers(0, 2, 20).astype(float)
    found = brier_bounds(bounds, rights)
    assert found is not None
    scores = [
        ((draws.uniform(bounds[:, 0], bounds[:, 1]) - rights) ** 2).mean() for _ in range(200)
    ]
    assert found[0] <= min(scores) <= max(scores) <= found[1]
    ends = [(bounds[:, side] - rights) ** 2 for side in (0, 1)]
    assert found == pytest.approx((np.minimum(*ends).mean(), np.maximum(*ends).mean()))


def test_histogram_counts_each_row_once() -> None:
    probs = np.array([0.0, 0.04, 0.05, 0.999, 1.0, 1.0000001, 0.5])
    rights = np.array([1, 0, 1, 0, 1, 1, math.nan])
    bins = histogram(probs, rights)
    assert (bins[0].right, bins[0].wrong, bins[1].right) == (1, 1, 1)
    assert (bins[-1].right, bins[-1].wrong, bins[10].unjudged) == (2, 1, 1)
    assert sum(entry.right + entry.wrong + entry.unjudged for entry in bins) == 7
