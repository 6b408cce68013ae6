from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autocog_core.numerics import log_softmax
from autocog_core.toolkit.sampling import sample_token
from autocog_core.types.completion import CompletionRequest
from autocog_core.types.prompt import Prompt

INF = float("inf")


def request(**arguments: Any) -> CompletionRequest:
    return CompletionRequest(prompt=Prompt(()), **arguments)


def row_of(*probabilities: float) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(np.array(probabilities)).astype(np.float32)


def allowed_slowly(row: np.ndarray, r: CompletionRequest) -> dict[int, float]:
    """The twin: token -> probability after temperature, top_k, top_p and min_p, one by one."""
    weights = {t: math.exp(float(v) / r.temperature) for t, v in enumerate(row)}
    ranked = sorted(weights, key=lambda t: (-row[t], t))
    if r.top_k:
        ranked = ranked[: r.top_k]
    whole = sum(weights[t] for t in ranked)
    if r.top_p < 1:
        kept, reached = [], 0.0
        for token in ranked:
            if kept and reached >= r.top_p - 1e-12:
                break
            kept.append(token)
            reached += weights[token] / whole
        ranked = kept
    if r.min_p:
        ranked = [t for t in ranked if weights[t] >= r.min_p * weights[ranked[0]] * (1 - 1e-12)]
    whole = sum(weights[t] for t in ranked)
    return {t: weights[t] / whole for t in ranked if weights[t] > 0}


class Recorder:
    """Stands for a generator: keeps the shares it is asked to choose by."""

    def choice(self, count: int, p: np.ndarray) -> int:
        self.count, self.shares = count, p
        return 0


@settings(max_examples=300)
@given(
    st.lists(st.floats(-6, 6, width=16), min_size=1, max_size=12),
    st.sampled_from([0.3, 1.0, 2.5]),
    st.sampled_from([0, 1, 3, 50]),
    st.sampled_from([0.0, 0.35, 0.8, 1.0]),
    st.sampled_from([0.0, 0.07, 0.6, 1.0]),
)
def test_filters_keep_what_the_slow_twin_keeps_with_its_shares(
    values: list[float], temperature: float, top_k: int, top_p: float, min_p: float
) -> None:
    row = log_softmax(np.array(values))
    r = request(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    recorder = Recorder()
    sample_token(row, r, recorder)  # type: ignore[arg-type]
    expected = sorted(allowed_slowly(row, r).values(), reverse=True)
    assert sorted(recorder.shares, reverse=True) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("spread", [0.01, 1.0, 6.0])
@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"top_p": 0.5},
        {"top_p": 0.97},
        {"min_p": 0.01},
        {"top_k": 700, "top_p": 0.9},
        {"top_p": 0.9, "min_p": 0.05},
        {"min_p": 0.9999},
    ],
    ids=str,
)
def test_large_vocabularies_are_filtered_alike(spread: float, filters: dict[str, Any]) -> None:
    row = log_softmax(np.random.default_rng(0).normal(0, spread, 5000))
    r = request(temperature=1.3, **filters)
    recorder = Recorder()
    sample_token(row, r, recorder)  # type: ignore[arg-type]
    expected = sorted(allowed_slowly(row, r).values(), reverse=True)
    assert sorted(recorder.shares, reverse=True) == pytest.approx(expected, rel=1e-6)


def test_greedy_picks_the_likeliest_and_the_lower_id_among_equals() -> None:
    generator = np.random.default_rng(0)
    assert sample_token(row_of(0.1, 0.4, 0.4, 0.1), request(), generator) == 1


def test_top_k_1_picks_the_lower_id_among_equals() -> None:
    generator = np.random.default_rng(0)
    picked = {sample_token(row_of(0.1, 0.45, 0.45), request(temperature=1.0, top_k=1), generator)}
    assert picked == {1}


def test_the_same_seed_picks_the_same_tokens() -> None:
    row = row_of(*[1 / 50] * 50)
    first, second = (
        [sample_token(row, request(temperature=1.0), generator) for _ in range(20)]
        for generator in (np.random.default_rng(7), np.random.default_rng(7))
    )
    assert first == second
    assert len(set(first)) > 5


def test_frequencies_are_the_probabilities_and_impossible_tokens_never_come() -> None:
    generator = np.random.default_rng(3)
    row = row_of(0.5, 0.0, 0.3, 0.2)
    counts = Counter(sample_token(row, request(temperature=1.0), generator) for _ in range(4000))
    assert counts[1] == 0
    for token, probability in ((0, 0.5), (2, 0.3), (3, 0.2)):
        assert counts[token] / 4000 == pytest.approx(probability, abs=0.03)


def test_a_temperature_next_to_zero_is_greedy_not_a_crash() -> None:
    generator = np.random.default_rng(0)
    assert sample_token(row_of(0.2, 0.5, 0.3), request(temperature=1e-310), generator) == 1


@pytest.mark.parametrize(
    ("top_p", "kept"), [(0.0, 1), (0.4, 1), (0.55, 2), (0.85, 3), (0.95, 4), (1.0, 5)]
)
def test_top_p_keeps_the_fewest_tokens_that_reach_it(top_p: float, kept: int) -> None:
    recorder = Recorder()
    sample_token(row_of(0.5, 0.3, 0.1, 0.06, 0.04), request(temperature=1.0, top_p=top_p), recorder)  # type: ignore[arg-type]
    assert recorder.count == kept
