"""Summaries, compared with numbers computed by hand or by a slower method."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocog_core.dataset.summary import SummaryBuilder, summarize
from autocog_core.errors import InputError
from autocog_core.numerics import wilson_interval


def answer(text: Any, gold: str | None, prob: Any = None, **others: Any) -> dict[str, Any]:
    probs = {} if prob is None else {"answer": prob}
    return {
        "fields": {"answer": text},
        "probs": probs,
        "distribution": {},
        "exact": True,
        "tokens_evaluated": 10,
        "stopped_by": None,
        "error": None,
        "gold": gold,
        **others,
    }


def error(gold: str | None = None) -> dict[str, Any]:
    return {"error": {"message": "bad", "where": "", "hint": ""}, "gold": gold}


def summarized(*records: dict[str, Any], field: str | None = "answer") -> Any:
    builder = SummaryBuilder(field)
    for row, record in enumerate(records):
        builder.add({"row": row, **record})
    return builder.summary()


@pytest.mark.parametrize(
    ("right", "answered", "low", "high"),
    # As scipy.stats.binomtest(...).proportion_ci(method="wilson") gives them.
    [
        (8, 10, 0.490162, 0.943318),
        (0, 10, 0.0, 0.277533),
        (10, 10, 0.722467, 1.0),
        (1, 2, 0.094531, 0.905469),
        (450, 1000, 0.419415, 0.480967),
    ],
)
def test_wilson_interval(right: int, answered: int, low: float, high: float) -> None:
    assert wilson_interval(right, answered) == pytest.approx((low, high), abs=2e-6)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_ends_1_96_standard_deviations_from_the_share(
    counts: tuple[int, int],
) -> None:
    """Its definition: |share - p| = 1.96 standard deviations of p, at both ends."""
    right, answered = counts
    share = right / answered
    low, high = wilson_interval(right, answered)
    assert 0 <= low <= share <= high <= 1
    for p in {low, high} - {share}:
        deviation = math.sqrt(p * (1 - p) / answered)
        assert abs(share - p) == pytest.approx(1.959964 * deviation, rel=1e-4, abs=1e-9)


def test_errors_and_rows_without_a_right_answer_are_not_wrong_answers() -> None:
    summary = summarized(
        answer(" Paris", "Paris ", 0.9),
        answer(" Lyon", "Paris", 0.6),
        error("Paris"),
        answer(" Rome", None, 0.5),
        answer("Rome", "rome", 0.5, stopped_by="tokens"),
        error(),
    )
    assert (summary.rows, summary.errors, summary.stopped, summary.tokens) == (6, 2, 1, 40)
    assert summary.first_error["row"] == 2
    assert (summary.accuracy.answered, summary.accuracy.right) == (3, 1)
    assert summary.accuracy.accuracy == pytest.approx(1 / 3)
    assert summary.accuracy.interval == wilson_interval(1, 3)


def test_calibration_error_by_hand() -> None:
    accuracy = summarized(
        answer("a", "a", 0.95),
        answer("a", "b", 0.91),
        answer("a", "a", 1.0),
        answer("a", "b", 0.35),
    ).accuracy
    # Bin .9 to 1: mean prob .95333, accuracy 2/3, 3 of 4. Bin .3 to .4: .35 and 0, 1 of 4.
    assert accuracy.calibration_error == pytest.approx(
        0.75 * (0.953333 - 2 / 3) + 0.25 * 0.35, 1e-5
    )
    assert accuracy.brier == pytest.approx((0.05**2 + 0.91**2 + 0 + 0.35**2) / 4)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_calibration_error_equals_that_of_numpy_arrays(answers: list[tuple[float, bool]]) -> None:
    probs = np.array([prob for prob, _ in answers])
    right = np.array([one for _, one in answers], dtype=float)
    bins = np.minimum((probs * 10).astype(int), 9)
    expected = sum(
        np.mean(bins == each) * abs(right[bins == each].mean() - probs[bins == each].mean())
        for each in set(bins.tolist())
    )
    accuracy = summarized(
        *(answer("a", "a" if one else "b", prob) for prob, one in answers)
    ).accuracy
    assert accuracy.calibration_error == pytest.approx(expected, abs=1e-12)
    assert accuracy.brier == pytest.approx(np.mean((probs - right) ** 2))


def test_the_last_value_of_a_repeated_field_counts() -> None:
    accuracy = summarized(answer(["no", "yes"], "yes", [0.2, 0.7])).accuracy
    assert accuracy.right == 1
    assert accuracy.brier == pytest.approx(0.3**2)


def test_the_share_of_another_action_with_the_same_name_is_not_the_answers() -> None:
    accuracy = summarized(answer(["a", "b"], "b", prob=0.98)).accuracy
    assert accuracy.right == 1
    assert accuracy.calibration_error is None


def test_a_completion_has_accuracy_but_no_calibration() -> None:
    accuracy = summarized(answer("a", "a"), answer("a", "b")).accuracy
    assert accuracy.accuracy == 0.5
    assert accuracy.calibration_error is None
    assert accuracy.brier is None


def test_without_an_answer_there_is_no_accuracy() -> None:
    accuracy = summarized(error("a"), answer("a", None, 0.5)).accuracy
    assert (accuracy.answered, accuracy.accuracy, accuracy.interval) == (0, None, None)
    assert summarized(answer("a", "a", 0.5), field=None).accuracy is None
    assert summarized(answer("a", "a", 0.5), field="other").accuracy.answered == 0


def test_a_file_has_the_summary_of_its_rows(tmp_path: Path) -> None:
    records = [answer(" a", "a", 0.9), error("b"), answer(" a", "b", 0.4)]
    output = tmp_path / "out.jsonl"
    output.write_text(
        "".join(json.dumps({"row": row, **record}) + "\n" for row, record in enumerate(records))
    )
    assert summarize(output, "answer") == summarized(*records)
    json.dumps(summarize(output, "answer").to_dict(), allow_nan=False)
    with pytest.raises(InputError, match="nowhere"):
        summarize(tmp_path / "nowhere")
