"""Columns: what a program needs and a file lacks is found before the first row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autocog_core import Automaton, InputError
from autocog_core.dataset import Gold, Row, check_columns
from autocog_core.dataset.columns import check_values

PROGRAM: dict[str, Any] = {
    "inputs": {"question": "text", "note": {"type": "any", "default": "none"}},
    "actions": [{"text": "{{ question }} {{ note }}:"}, {"name": "answer", "choices": ["a", "b"]}],
}
GOLD = Gold("answer", "label")


@pytest.fixture(scope="module")
def automaton() -> Automaton:
    return Automaton.from_dict(PROGRAM)


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rows.csv", "question,label\nOne,a\n"),
        ("rows.csv", "label,more,question\n"),
        ("rows.jsonl", '{"label": "a"}\n{"question": "One"}\n'),
        # Without a row that can be read, each has its own error.
        ("rows.jsonl", "no row\n[1]\n"),
        ("rows.jsonl", ""),
        # The column of right answers may be an input in other letters.
        ("rows.csv", "question,label,Label\n"),
    ],
)
def test_columns_that_are_there_are_found(
    automaton: Automaton, tmp_path: Path, name: str, text: str
) -> None:
    check_columns(write(tmp_path, name, text), automaton, GOLD)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("rows.csv", "query,label\nOne,a\n", 'no column "question".*are: "query", "label"'),
        ("rows.csv", "question\nOne\n", 'no column "label"'),
        ("rows.jsonl", '{"query": 1}\nno row\n{"q": 2, "label": 1}\n', 'no column "question"'),
        ("rows.jsonl", '{"question": 1}\n' * 3, 'no column "label".*are: "question"'),
        ("rows.csv", "question, label\n", 'no column "label"; rename the column " label" to'),
        ("rows.csv", "Question,label\n", 'rename the column "Question" to "question"'),
        # It would silently have its default.
        ("rows.csv", "question,label,note \n", 'no column "note"; rename the column "note "'),
        ("rows.jsonl", '{"question": 1, "label": 2, "Note": 3}\n', 'rename the column "Note"'),
        ("rows.csv", "question;label\nOne;a\n", 'are separated by ";", not by commas'),
        ("rows.csv", "question\tlabel\nOne\ta\n", "are separated by tabs"),
        ("rows.csv", '"query";"x"\n', "separate the columns by commas"),
    ],
)
def test_missing_columns_are_reported(
    automaton: Automaton, tmp_path: Path, name: str, text: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        check_columns(write(tmp_path, name, text), automaton, GOLD)


def test_separators_are_reported_where_no_column_is_required(tmp_path: Path) -> None:
    program = Automaton.from_dict(
        {**PROGRAM, "inputs": {name: {"default": ""} for name in ("question", "note")}}
    )
    check_columns(write(tmp_path, "rows.csv", "id;text\n"), program)
    with pytest.raises(InputError, match='are separated by ";"'):
        check_columns(write(tmp_path, "rows.csv", "id;note\n"), program)


def test_a_list_of_many_columns_is_cut(automaton: Automaton, tmp_path: Path) -> None:
    path = write(tmp_path, "rows.csv", ",".join(f"column {i}" for i in range(5000)) + "\n")
    with pytest.raises(InputError) as caught:
        check_columns(path, automaton)
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize("value", [float("nan"), [1, {"x": float("-inf")}]])
def test_nan_is_an_error_only_in_columns_that_are_used(value: Any) -> None:
    row = Row(3, {"question": "One", "note": value})
    assert check_values(row, ["question"]) is row
    refused = check_values(row, ["question", "note"])
    assert '"note" holds NaN or infinity' in str(refused.error)
    assert refused.values == row.values
