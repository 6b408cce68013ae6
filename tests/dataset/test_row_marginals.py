"""Marginals in output rows, tables and the summary."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from autocog_core import Automaton, InputError, Model
from autocog_core.backends.random import RandomLM
from autocog_core.dataset import Gold, Run, TableOptions, export_rows, run_file, run_frame, run_rows

REASONING = {
    "inputs": {"question": "text"},
    "actions": [
        {"text": "{{ question }}"},
        {"name": "thought", "length": 3, "samples": 5, "width": None},
        {"text": " So:"},
        {"name": "answer", "choices": [" Yes", " No"], "width": None},
    ],
}
LABELS = {
    "inputs": {"question": "text", "labels": "list"},
    "actions": [
        {"text": "{{ question }}"},
        {
            "for_each": {"in": "labels", "as": "label"},
            "name": "labels",
            "ask": [
                [{"text": "{{ label }}?"}, {"name": "is", "choices": [" Yes", " No"]}],
            ],
        },
    ],
}
LOOP = {
    "inputs": {"question": "text"},
    "actions": [
        {"uid": "item", "text": "-", "max_visits": 2},
        {"name": "kind", "choices": ["a", "b"], "width": None},
        {
            "width": None,
            "choices": [{"text": ",", "next": "item"}, {"text": ".", "next": "end"}],
        },
    ],
}
ROWS = [{"question": "Is it?", "right": "Yes"}, {"question": "Was it?", "right": "No"}]


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(RandomLM(seed=1))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    pd.DataFrame(ROWS).to_csv(path, index=False)
    return path


def program(data: dict[str, Any]) -> Automaton:
    return Automaton.from_dict(data)


def test_rows_have_the_marginals_of_their_trees(model: Model) -> None:
    for result in run_rows(program(REASONING), model, ROWS, marginals=["answer", "thought"]):
        assert result.tree is not None
        for name in ("answer", "thought"):
            marginal = result.marginals(name)
            assert marginal == result.tree.marginals(name)
            assert result.output_row["marginals"][name] == marginal.to_dict()
    (plain, _) = run_rows(program(REASONING), model, ROWS)
    assert "marginals" not in plain.output_row
    rows = [{"question": "A", "labels": ["x", "y"]}, {"question": "B", "labels": []}]
    first, empty = run_rows(program(LABELS), model, rows, marginals=["labels"])
    assert first.output_row["marginals"]["labels"] == {
        item: first.marginals("labels", item).to_dict() for item in ("x", "y")
    }
    assert empty.output_row["marginals"]["labels"] == {}


def test_tables_and_the_summary_have_them(model: Model, source: Path, tmp_path: Path) -> None:
    automaton = program(REASONING)
    run = Run(automaton, model, marginals=("answer",), gold=Gold("answer", "right"))
    output = tmp_path / "out.csv"
    summary = run_file(run, source, output, options=TableOptions(probs="all"))
    rows = list(csv.DictReader(output.open(encoding="utf-8")))
    right = []
    for row, result in zip(rows, run_rows(automaton, model, ROWS), strict=True):
        marginal = result.marginals("answer")
        best = marginal.best
        assert best is not None
        assert best.standard_error is not None
        assert row["answer.marginal"] == best.value
        assert float(row["answer.marginal.prob"]) == best.prob
        assert float(row["answer.marginal.error"]) == best.standard_error
        assert float(row["answer.marginal.unexplored"]) == marginal.unexplored == 0
        for value, prob in marginal.values.items():
            assert float(row[f"answer.marginal.prob.{value}"]) == prob
        right.append(best.value == row["right"])
        assert row["answer.marginal.right"] == str(right[-1]).lower()
    accuracy = summary.marginal_accuracy
    assert accuracy is not None
    assert (accuracy.right, accuracy.answered) == (sum(right), 2)
    squares = [
        (float(row["answer.marginal.prob"]) - is_right) ** 2
        for row, is_right in zip(rows, right, strict=True)
    ]
    assert accuracy.brier == pytest.approx(math.fsum(squares) / 2)
    assert summary.accuracy is not None
    # A table that is made later has them too; a run without them is another run.
    journal = tmp_path / "out.csv.rows.jsonl"
    assert export_rows(journal, tmp_path / "again.tsv") == 2
    header = (tmp_path / "again.tsv").read_text(encoding="utf-8").split("\n")[0].split("\t")
    assert [name for name in header if "marginal" in name] == [
        "answer.marginal",
        "answer.marginal.prob",
        "answer.marginal.error",
        "answer.marginal.unexplored",
        "answer.marginal.right",
    ]
    with pytest.raises(InputError, match="another marginals"):
        run_file(replace(run, marginals=()), source, output)


def test_a_row_of_damaged_marginals_is_an_error(model: Model, source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    run_file(Run(program(REASONING), model, marginals=("answer",)), source, output)
    lines = output.read_text(encoding="utf-8").splitlines()
    for damaged in (7, {"answer": 7}, {"answer": {"values": [{"value": "Yes"}], "unexplored": 0}}):
        row = json.loads(lines[0]) | {"marginals": damaged}
        output.write_text("\n".join([json.dumps(row), *lines[1:]]) + "\n", encoding="utf-8")
        with pytest.raises(InputError, match="is not row 0"):
            export_rows(output, tmp_path / "table.csv")


def test_frames_have_them(model: Model) -> None:
    frame = pd.DataFrame(ROWS)
    labelled = run_frame(program(LOOP), model, frame, marginals=["kind"], probs="all")
    (first, _) = run_rows(program(LOOP), model, ROWS)
    marginal = first.marginals("kind")
    assert marginal.best is not None
    assert tuple(labelled["kind.marginal"][0]) == marginal.best.value
    probs = json.loads(labelled["kind.marginal.probs"][0])
    assert probs == {json.dumps(value): prob for value, prob in marginal.values.items()}
    assert labelled["kind.marginal.unexplored"][0] == marginal.unexplored > 0
    assert labelled["kind.marginal.error"].isna().all()
    none = run_frame(program(LOOP), model, frame, marginals=["kind"], probs="none")
    assert [name for name in none.columns if "marginal" in name] == ["kind.marginal"]
    data = pd.DataFrame([{"question": "A", "labels": ["x"]}])
    items = run_frame(program(LABELS), model, data, marginals=["labels"], prefix="model.")
    assert set(json.loads(items["model.labels.marginal"][0])) == {"x"}


def test_wrong_marginals_are_errors_before_the_run(model: Model) -> None:
    with pytest.raises(InputError, match='no field "anwser"; did you mean "answer"'):
        run_rows(program(REASONING), model, ROWS, marginals=["anwser"])
    cut = {**REASONING, "actions": [dict(action) for action in REASONING["actions"]]}  # type: ignore[attr-defined]
    cut["actions"][1]["width"] = 2
    for run in (run_rows, run_frame):
        with pytest.raises(InputError, match='all samples of action "thought"; follow all'):
            run(program(cut), model, pd.DataFrame(ROWS), marginals=["answer"])  # type: ignore[operator]
    # Its own samples are all known.
    next(iter(run_rows(program(cut), model, ROWS, marginals=["thought"])))
