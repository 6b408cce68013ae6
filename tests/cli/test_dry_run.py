"""`run --dry-run` and `check --input`: what a run takes, before it, and nothing is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import autocog_core as autocog
from autocog_core import Automaton
from autocog_core.dataset import RowSource, estimate_rows
from autocog_core.dataset.run_estimate import MAX_COUNTED_ROWS, spread
from tests.cli.conftest import Run as Invoke
from tests.support.row_files import write_rows

PROGRAM = """
inputs: {question: text, hint: text}
actions:
- text: "{{ hint }}{{ question }}:"
- {name: answer, choices: [" a", " b"]}
- text: " Sure?"
- {name: sure, choices: [" yes", " no"]}
"""
ROWS = [{"question": "x" * (n % 7 + 1), "label": "a"} for n in range(25)]


@pytest.fixture
def files(folder: Path) -> Path:
    (folder / "program.yaml").write_text(PROGRAM, encoding="utf-8")
    write_rows(folder, ".jsonl", ROWS)
    return folder


def test_a_dry_run_counts_rows_and_runs_a_sample(files: Path, run: Invoke) -> None:
    before = sorted(files.iterdir())
    given = ("program.yaml", "-m", "noise", "-i", "rows.jsonl", "--set", "hint=Now: ", "--json")
    options = ("-o", "out.jsonl", "--trees", "trees", "--gold", "answer=label")
    result = run("run", *given, *options, "--dry-run")
    assert result.exit_code == 0, result.output
    assert sorted(files.iterdir()) == before
    estimate = json.loads(result.stdout)
    whole = run("run", *given[:-1], "-o", "out.jsonl")
    assert whole.exit_code == 0
    rows = [json.loads(line) for line in (files / "out.jsonl").read_text().splitlines()]

    assert estimate["rows"] == estimate["counted_rows"] == len(rows)
    assert estimate["errors"] == 0
    assert estimate["max_calls"] == 2 * len(rows)
    # The backend "random" has one token for each byte, and BOS.
    prompts = [len("Now: ") + len(row["question"]) + len(":") + 1 for row in ROWS]
    assert estimate["prompt_tokens"] == sum(prompts)
    sample = estimate["sample"]
    assert sample["rows"] == spread(25, 10)
    tokens = [rows[index]["tokens_evaluated"] for index in sample["rows"]]
    assert sample["tokens_per_row"] == sum(tokens) / 10
    assert (sample["min_tokens"], sample["max_tokens"]) == (min(tokens), max(tokens))
    assert estimate["tokens"] == round(25 * sum(tokens) / 10)
    assert estimate["seconds"] == pytest.approx(25 * sample["seconds_per_row"])

    checked = json.loads(run("check", *given).stdout)
    for name in ("rows", "max_calls", "prompt_tokens", "max_tokens", "tokens"):
        assert checked["rows"][name] == estimate[name], name


def test_a_dry_run_without_a_model_has_rows_and_calls(files: Path, run: Invoke) -> None:
    (files / "autocog.toml").unlink()
    given = ("program.yaml", "-i", "rows.jsonl", "--set", "hint=x")
    for command in (("run", *given, "--dry-run"), ("check", *given)):
        shown = " ".join(run(*command).stdout.split())
        assert "rows 25 model calls at most 50 time tokens and time need a model" in shown
    limited = run("run", *given, "--dry-run", "--limit", "3", "--json")
    assert json.loads(limited.stdout)["max_calls"] == 6
    shown = " ".join(run("check", *given, "-m", "noise").output.split())
    assert "no model is configured" in shown


def test_the_report_names_the_sample_and_the_first_error(files: Path, run: Invoke) -> None:
    write_rows(files, ".jsonl", [*ROWS[:4], {"question": None}])
    given = ("program.yaml", "-i", "rows.jsonl", "-m", "noise", "--set", "hint=x", "--dry-run")
    shown = " ".join(run("run", *given).stdout.split())
    assert 'errors 1; the first: row 4: inputs: "question" is missing' in shown
    assert "(exact: every row is tokenized)" in shown
    assert "sample 5 rows were run: 0, 1, 2, 3, 4" in shown
    assert 'sample errors 1; the first: row 4: inputs: "question" is missing' in shown
    # Rows with an error evaluate nothing.
    estimate = json.loads(run("run", *given, "--json").stdout)
    done = json.loads(run("run", *given[:-1], "-o", "out.jsonl", "--json").stdout)
    assert estimate["tokens"] == done["tokens"]


def test_wrong_arguments_are_one_message(files: Path, wrong: Callable[..., str]) -> None:
    assert "--dry-run: requires --input" in wrong("run", "program.yaml", "--dry-run")
    assert 'there is no column "hint"' in wrong("check", "program.yaml", "-i", "rows.jsonl")
    assert "--input-format: requires --input" in wrong(
        "check", "program.yaml", "--input-format", "csv"
    )


def test_rows_of_long_files_are_counted_in_a_spread_sample(files: Path) -> None:
    assert spread(3, 10) == [0, 1, 2]
    assert spread(100, 4) == [12, 37, 62, 87]
    many = [{"question": "x" * (n // 100 + 1), "hint": "-"} for n in range(1, 2001)]
    source = RowSource.of(write_rows(files, ".csv", many, "many"))
    automaton = Automaton.from_file("program.yaml")
    with autocog.load("noise") as model:
        estimate = estimate_rows(automaton, source, {}, client=model.client)
    assert (estimate.rows, estimate.counted_rows) == (2000, MAX_COUNTED_ROWS)
    prompts = sum(len(row["question"]) + 3 for row in many)
    assert estimate.prompt_tokens == pytest.approx(prompts, rel=0.01)
