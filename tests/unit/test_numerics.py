from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocog_core.numerics import entropy, log1m_sum_exp, log_softmax, logsumexp, softmax

INF = float("inf")
logits = st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=40)
scores = st.lists(st.one_of(st.just(-INF), st.floats(-3000, 0)), min_size=1, max_size=20)


@given(logits)
def test_log_softmax_rows_are_at_most_zero_and_sum_to_one(values: list[float]) -> None:
    row = log_softmax(np.array(values))
    assert row.dtype == np.float32
    assert (row <= 0).all()
    assert logsumexp(row) == pytest.approx(0, abs=1e-5)


@given(logits, st.floats(-1e3, 1e3))
def test_log_softmax_ignores_a_constant_added_to_all_logits(
    values: list[float], constant: float
) -> None:
    np.testing.assert_allclose(
        log_softmax(np.array(values) + constant), log_softmax(np.array(values)), atol=1e-3
    )


def test_log_softmax_of_float16_is_computed_in_float64() -> None:
    row = log_softmax(np.zeros(100_000, dtype=np.float16))
    np.testing.assert_allclose(row, -math.log(100_000), rtol=1e-6)


def test_log_softmax_works_row_by_row_and_keeps_minus_infinity() -> None:
    rows = log_softmax(np.array([[0.0, -INF], [1.0, 1.0]]))
    np.testing.assert_allclose(rows, [[0, -INF], [-math.log(2)] * 2], rtol=1e-6)


def test_log_softmax_does_not_change_its_argument() -> None:
    values = np.array([1.0, 2.0])
    log_softmax(values)
    assert values.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], -INF),
        ([-INF, -INF], -INF),
        ([-2000.0, -2000.0], -2000 + math.log(2)),
        ([math.log(0.25), math.log(0.5)], math.log(0.75)),
        ([0.0, -INF], 0.0),
    ],
)
def test_logsumexp_is_exact_where_exp_underflows(values: list[float], expected: float) -> None:
    assert logsumexp(values) == pytest.approx(expected)


@given(scores)
def test_softmax_sums_to_one_without_nan(values: list[float]) -> None:
    probabilities = softmax(values)
    assert np.isfinite(probabilities).all()
    assert probabilities.sum() == pytest.approx(1)


@given(scores)
def test_softmax_keeps_the_order_of_its_scores(values: list[float]) -> None:
    probabilities = softmax(values)
    for i, first in enumerate(values):
        for j, second in enumerate(values):
            assert first < second or probabilities[i] >= probabilities[j]


@pytest.mark.parametrize("value", [-INF, INF, -2000.0])
def test_softmax_of_equal_scores_is_equal_even_if_infinite(value: float) -> None:
    assert softmax([value] * 4).tolist() == [0.25] * 4


def test_softmax_of_infinite_and_finite_scores() -> None:
    assert softmax([INF, 3.0, INF, -INF]).tolist() == [0.5, 0, 0.5, 0]


def test_softmax_does_not_underflow_on_sums_of_minus_2000() -> None:
    probabilities = softmax([-2000.0, -2000.0 + math.log(3)])
    assert probabilities.tolist() == pytest.approx([0.25, 0.75])


def test_entropy_is_log_n_for_equal_probabilities_and_zero_for_certainty() -> None:
    assert entropy(np.full(8, 1 / 8)) == pytest.approx(math.log(8))
    assert entropy(np.array([1.0, 0.0])) == 0
    assert math.copysign(1, entropy(np.array([1.0]))) == 1


def test_log1m_sum_exp_is_the_log_of_the_remaining_probability() -> None:
    assert log1m_sum_exp(np.log([0.5, 0.25])) == pytest.approx(math.log(0.25))
    assert log1m_sum_exp(np.array([-INF])) == 0
    assert log1m_sum_exp(np.array([-40.0])) == pytest.approx(-math.exp(-40), rel=1e-9)


@pytest.mark.parametrize("values", [[0.0], [math.log(0.5)] * 2, [1e-9], [math.log(0.6)] * 2])
def test_log1m_sum_exp_is_minus_infinity_if_nothing_remains(values: list[float]) -> None:
    assert log1m_sum_exp(np.array(values)) == -INF
