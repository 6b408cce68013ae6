"""`autocog run --probs winner`: one input, tables, an output that is resumed, and refusals."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

LABELS = ", ".join(f'" {one} {two} {three}"' for one in "abcd" for two in "efgh" for three in "ijk")
PROGRAM = f"""
inputs: {{question: text}}
actions:
- text: "{{{{ question }}}}"
- {{name: label, choices: [{LABELS}]}}
"""


@pytest.fixture
def files(folder: Path) -> Path:
    """A folder with a program, and rows for it."""
    (folder / "program.yaml").write_text(PROGRAM, encoding="utf-8")
    wide = PROGRAM.replace("name: label,", "name: label, width: null, threshold: 0.1,")
    (folder / "wide.yaml").write_text(wide, encoding="utf-8")
    rows = "question,right\nIs it?,a e i\nWas it?,b f j\n"
    (folder / "rows.csv").write_text(rows, encoding="utf-8")
    return folder


def test_the_fields_stay_and_the_table_has_bounds(files: Path, run: Run) -> None:
    one = run("run", "program.yaml", "-m", "noise", "--probs", "winner", "--set", "question=Is it?")
    assert one.exit_code == 0, one.stderr
    assert "prob between" in one.stdout
    rows = ("run", "program.yaml", "-m", "noise", "-i", "rows.csv", "--gold", "right")
    assert run(*rows, "-o", "whole.csv").exit_code == 0
    best = run(*rows, "-o", "best.csv", "--probs", "winner")
    assert best.exit_code == 0, best.stderr
    expected_rows, best_rows = (
        list(csv.DictReader((files / name).read_text(encoding="utf-8").splitlines()))
        for name in ("whole.csv", "best.csv")
    )
    for expected, row in zip(expected_rows, best_rows, strict=True):
        assert row["label"] == expected["label"]
        lowest, highest = float(row["label.prob_min"]), float(row["label.prob_max"])
        assert lowest <= float(expected["label.prob"]) * 1.0001
        assert float(expected["label.prob"]) <= highest * 1.0001


def test_a_right_answer_that_was_not_read_is_still_a_choice(files: Path, run: Run) -> None:
    rows = ("run", "program.yaml", "-m", "noise", "-i", "rows.csv", "--gold", "right")
    assert run(*rows, "-o", "whole.jsonl").exit_code == 0
    best = run(*rows, "-o", "best.jsonl", "--probs", "winner")
    assert "no choice" not in best.stderr
    for whole, part in zip(
        *((files / name).read_text().splitlines() for name in ("whole.jsonl", "best.jsonl")),
        strict=True,
    ):
        assert json.loads(whole)["gold_choice"] == json.loads(part)["gold_choice"] is not None


def test_an_output_of_the_other_kind_is_not_continued(files: Path, run: Run) -> None:
    rows = ("run", "program.yaml", "-m", "noise", "-i", "rows.csv", "-o", "out.jsonl")
    assert run(*rows, "--limit", "1", "--probs", "winner").exit_code == 0
    other = run(*rows)
    assert other.exit_code == 2
    assert "another probs (was winner, is all)" in other.stderr
    assert run(*rows, "--probs", "winner").exit_code == 0
    assert len((files / "out.jsonl").read_text(encoding="utf-8").splitlines()) == 2
    assert run("export", "out.jsonl", "-o", "out.csv").exit_code == 0
    header = (files / "out.csv").read_text(encoding="utf-8").splitlines()[0]
    assert "label.prob_min,label.prob_max" in header


def test_what_needs_all_probabilities_is_refused_before_any_model(files: Path, run: Run) -> None:
    missing = ("-m", "no such model", "--set", "question=Is it?", "--probs", "winner")
    wide = run("run", "wide.yaml", *missing)
    assert wide.exit_code == 2
    assert "follows several choices (width null)" in wide.stderr
    marginals = run("run", "program.yaml", *missing, "--marginals", "label")
    assert "need the probabilities of all choices" in marginals.stderr


def test_the_estimate_is_an_upper_bound(files: Path, run: Run) -> None:
    command = ("run", "program.yaml", "-m", "noise", "-i", "rows.csv", "--dry-run", "--json")
    whole = json.loads(run(*command).stdout)
    best = json.loads(run(*command, "--probs", "winner").stdout)
    assert best["max_tokens"] == whole["max_tokens"]
    assert best["max_calls"] >= whole["max_calls"]
