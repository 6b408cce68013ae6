"""Right answers: when an answer is right, whatever program wrote the column of right answers."""

from __future__ import annotations

import datetime as dt
import importlib.util
import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from autocog_core import Automaton, Model
from autocog_core.dataset import Gold, Run, run_file, summarize
from autocog_core.dataset.expected import find_right_choice, is_same_answer
from autocog_core.reports import make_report
from tests.support.small_backends import random_model


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        (" Paris", "Paris "),
        (" 1", "1.0"),
        (" 1.0", "1"),
        (" 1000", "1e3"),
        (" .5", "0.50"),
        (" -0", "0"),
        (" +3", "3"),
        (" True", "true"),
        (" false", "FALSE"),
        # One letter, or a letter and its accent.
        (" caf\u00e9", "cafe\u0301"),
        (" 123456789012345678901", "123456789012345678901.0"),
    ],
)
def test_answers_that_mean_the_same_are_equal(answer: str, right: str) -> None:
    assert is_same_answer(answer, right)
    assert is_same_answer(right, answer)


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        (" Paris", "paris"),
        # Codes, not numbers.
        (" 1", "01"),
        ("007", "7"),
        (" 1000", "1,000"),
        # Equal as floats.
        ("123456789012345678901", "123456789012345678902"),
        ("0.1", "0.1000000000000000055"),
        (" True", "1"),
        ("\u0661", "1"),
        ("nan", "NaN"),
        ("inf", "Infinity"),
        ("1_000", "1000"),
        ("", "0"),
        (" yes", "true"),
    ],
)
def test_other_answers_are_not(answer: str, right: str) -> None:
    assert not is_same_answer(answer, right)
    assert not is_same_answer(right, answer)


def test_numbers_of_any_size_are_compared_at_once() -> None:
    assert not is_same_answer("1e999999", "1e-999999")
    assert not is_same_answer("1e99999999999999999999", "1")
    assert is_same_answer("9" * 100_000, "9" * 100_000 + ".0")


def test_a_choice_with_the_same_text_goes_before_the_same_number() -> None:
    versions = [" 1.1", " 1.10", " 1.2"]
    assert find_right_choice(versions, "1.10") == " 1.10"
    assert find_right_choice(versions, "1.1") == " 1.1"
    assert find_right_choice(versions, "1.20") == " 1.2"
    assert find_right_choice(versions, "1.3") is None
    assert find_right_choice(["1", " 1"], "1", chosen=" 1") == " 1"


PROGRAM = {
    "inputs": {"question": "text", "options": {"type": "list"}},
    "actions": [
        {"text": "{{ question }}:"},
        {"name": "answer", "choices": {"each": "options", "text": " {{ item }}"}},
        {"name": "why", "length": 2},
    ],
}


@pytest.fixture(scope="module")
def automaton() -> Automaton:
    return Automaton.from_dict(PROGRAM)


@pytest.fixture(scope="module")
def model() -> Model:
    return random_model(seed=3)


def answered(
    automaton: Automaton, model: Model, source: Path, field: str = "answer"
) -> tuple[Any, list[dict[str, Any]]]:
    output = source.with_name("out.jsonl")
    run = Run(automaton, model, gold=Gold(field, "label"))
    summary = run_file(run, source, output)
    assert summary.accuracy == summarize(output, field).accuracy
    return summary.accuracy, [json.loads(line) for line in output.read_bytes().splitlines()]


@pytest.mark.parametrize(
    ("label", "option", "choice"),
    [
        (1.0, 1, "1"),
        (1, "1.0", "1.0"),
        ("1.0", 1, "1"),
        (True, "True", "True"),
        (False, "false", "false"),
        ("x ", "x", "x"),
    ],
    ids=str,
)
def test_a_right_answer_of_another_type_is_right(
    automaton: Automaton, model: Model, tmp_path: Path, label: Any, option: Any, choice: str
) -> None:
    source = tmp_path / "rows.jsonl"
    row = {"question": "Q", "options": [option], "label": label}
    source.write_text(json.dumps(row) + "\n")
    accuracy, (output_row,) = answered(automaton, model, source)
    assert (accuracy.answered, accuracy.right, accuracy.impossible) == (1, 1, 0)
    assert output_row["gold_choice"] == choice


def test_integers_with_a_gap_are_right_as_data_frames_write_them(
    automaton: Automaton, model: Model, tmp_path: Path
) -> None:
    """pandas makes floats of integers with a gap, and writes them so into all formats."""
    (tmp_path / "rows.csv").write_text(
        ",question,options,label\n0,A,[1],1.0\n1,B,[2],\n", encoding="utf-8"
    )
    (tmp_path / "rows.jsonl").write_text(
        '{"question": "A", "options": [1], "label": 1.0}\n'
        '{"question": "B", "options": [2], "label": null}\n'
    )
    sources = [tmp_path / "rows.csv", tmp_path / "rows.jsonl"]
    if importlib.util.find_spec("pyarrow"):
        import pyarrow as pa
        from pyarrow import parquet

        labels = pa.array([1.0, math.nan], from_pandas=False)
        table = {"question": ["A", "B"], "options": [[1], [2]], "label": labels}
        parquet.write_table(pa.table(table), tmp_path / "rows.parquet")
        sources.append(tmp_path / "rows.parquet")
    for source in sources:
        accuracy, rows = answered(automaton, model, source)
        assert [row["gold"] is None for row in rows] == [False, True], source
        assert (accuracy.answered, accuracy.right) == (1, 1), source
        (tmp_path / "out.jsonl").unlink()


def test_nan_and_blank_cells_are_no_right_answers(
    automaton: Automaton, model: Model, tmp_path: Path
) -> None:
    source = tmp_path / "rows.jsonl"
    start = '{"question": "Q", "options": ["a"], "label": '
    source.write_text("".join(f"{start}{label}}}\n" for label in ("NaN", '""', '"  "', "null")))
    accuracy, rows = answered(automaton, model, source)
    assert [row["error"] for row in rows] == [None] * 4
    assert [row["gold"] for row in rows] == [None] * 4
    assert accuracy.answered == 0


def test_dates_and_decimals_of_parquet_have_their_plain_text() -> None:
    gold = Gold("answer", "label")
    for value, text in (
        (dt.date(2024, 1, 31), "2024-01-31"),
        (Decimal("1.50"), "1.50"),
        (b"Paris", "Paris"),
        ([1, "x"], '[1, "x"]'),
        (float("nan"), None),
        (2**70, str(2**70)),
    ):
        assert gold.right_answer({"label": value}) == text


def test_right_answers_that_are_no_choice_are_counted(
    automaton: Automaton, model: Model, tmp_path: Path
) -> None:
    source = tmp_path / "rows.jsonl"
    row = '{"question": "Q", "options": ["Yes", "No"], "label": %s}\n'
    source.write_text(row % '"yes"' + row % "null" + row % '"no"')
    accuracy, rows = answered(automaton, model, source)
    assert [each.get("gold_choice", "") for each in rows] == [None, "", None]
    assert (accuracy.answered, accuracy.right, accuracy.impossible) == (2, 0, 2)
    assert accuracy.impossible_row["gold"] == "yes"


def test_a_completion_has_no_choices(automaton: Automaton, model: Model, tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_text('{"question": "Q", "options": ["Yes", "No"], "label": "x"}\n')
    accuracy, (row,) = answered(automaton, model, source, "why")
    assert "gold_choice" not in row
    assert (accuracy.answered, accuracy.impossible) == (1, 0)


def test_right_answers_are_compared_with_the_value(model: Model, tmp_path: Path) -> None:
    choices = [{"texts": [" Yes", " yes"], "value": True}, {"text": " No", "value": 0}]
    program = Automaton.from_dict(
        {
            "inputs": {"question": "text"},
            "actions": [{"text": "{{ question }}:"}, {"name": "answer", "choices": choices}],
        }
    )
    labels = [True, "True", 0, "0.0", "Yes", None]
    rows = [{"question": "Q", "label": label} for label in labels]
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    accuracy, output = answered(program, model, source)
    assert [row.get("gold_choice") for row in output] == [True, True, 0, 0, None, None]
    (answer,) = {row["fields"]["answer"] for row in output}
    assert answer in (True, 0)
    assert (accuracy.right, accuracy.answered, accuracy.impossible) == (2, 5, 1)


def test_the_right_answer_of_a_run_of_the_best_choices_is_one_of_all_choices(
    model: Model, tmp_path: Path
) -> None:
    """Where a choice begins all others, the probability of the best one is known."""
    choices = [" 1", " 12", " 123", " 2", " 34"]
    actions = [{"text": "{{ word }}"}, {"name": "digit", "choices": choices}]
    automaton = Automaton.from_dict({"inputs": {"word": "text"}, "actions": actions})
    source, output = tmp_path / "in.csv", tmp_path / "out.jsonl"
    lines = [f"word {index},{choices[index % 5].strip()}" for index in range(10)]
    source.write_text("\n".join(["word,label", *lines]) + "\n", encoding="utf-8")
    run_file(Run(automaton, model, gold=Gold("digit", "label"), probs="winner"), source, output)
    rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert any("digit" in row["probs"] for row in rows)
    assert [row["gold_choice"] for row in rows] == [row["gold"] for row in rows]
    answers = make_report([output]).runs[0].answers
    # A share that was not read is not 0.
    assert [math.isnan(one.gold_prob) for one in answers] == [not one.right for one in answers]
