"""`autocog check` and `autocog show`: errors, the maximum cost, and the graph of a program."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Run

PROGRAM = """
inputs:
  question: text
actions:
- text: "{{ question }}"
- {name: answer, choices: [" a", " b"]}
"""
ERROR = """
actions:
- text: "It is"
- {uid: word, length: 3, vocab: {regex: "日本"}}
- {uid: prefix, choices: [" a", " ab"]}
"""


@pytest.fixture
def programs(folder: Path) -> Path:
    (folder / "program.yaml").write_text(PROGRAM, encoding="utf-8")
    (folder / "error.yaml").write_text(ERROR, encoding="utf-8")
    return folder


def test_a_program_without_errors(programs: Path, run: Run) -> None:
    result = run("check", "program.yaml")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [line.split(maxsplit=1) for line in result.stdout.splitlines()]
    assert [" ".join(line).strip() for line in lines] == [
        "actions 2",
        "inputs question (text)",
        "result no errors",
    ]
    assert json.loads(run("check", "program.yaml", "--json").stdout) == {
        "actions": 2,
        "findings": [],
        "estimate": None,
        "rows": None,
    }


def test_errors_are_listed_and_the_exit_code_is_2(programs: Path, run: Run) -> None:
    result = run("check", "error.yaml", "-m", "noise")
    assert result.exit_code == 2
    assert 'error  action "word": ' in result.stdout
    assert 'warning  choice-begins-another: action "prefix": ' in result.stdout
    assert result.stdout.splitlines()[-1].split() == ["result", "1", "error"]
    result = run("check", "error.yaml", "-m", "noise", "--json")
    assert result.exit_code == 2
    data = json.loads(result.stdout)
    assert [finding["warning"] for finding in data["findings"]] == [False, True]
    assert [finding["code"] for finding in data["findings"]] == [None, "choice-begins-another"]
    assert data["estimate"] is None


def test_warnings_do_not_change_the_exit_code(programs: Path, run: Run) -> None:
    result = run("check", "error.yaml")
    assert result.exit_code == 0
    assert "no errors, 1 warning" in result.stdout


def test_a_model_adds_the_maximum_cost(programs: Path, run: Run) -> None:
    command = ("check", "program.yaml", "-m", "noise")
    assert "texts of inputs" in run(*command).stdout
    bound = run(*command, "--set", "question=It is")
    assert "at most 1" in bound.stdout
    assert "texts of inputs" not in bound.stdout
    estimate = json.loads(run(*command, "--set", "question=It is", "--json").stdout)["estimate"]
    assert (estimate["calls"], estimate["paths"]) == (1, 1)
    # BOS, five bytes of the question, and the two choices.
    assert 6 <= estimate["tokens"] <= 12


def test_wrong_values_are_one_message(programs: Path, wrong: Callable[..., str]) -> None:
    assert 'no input "query"' in wrong("check", "program.yaml", "--set", "query=x")
    assert "no inputs" in wrong("check", "error.yaml", "--set", "query=x")


@pytest.mark.parametrize(
    ("options", "beginning"),
    [
        ([], ""),
        (["--format", "dot"], "digraph"),
        (["--format", "svg"], "<"),
    ],
    ids=["text", "dot", "svg"],
)
def test_show_draws_the_same_graph_on_stdout_and_into_a_file(
    programs: Path, run: Run, options: list[str], beginning: str
) -> None:
    printed = run("show", "program.yaml", *options)
    assert printed.exit_code == 0
    assert printed.stdout.startswith(beginning)
    assert "answer" in printed.stdout
    assert run("show", "program.yaml", *options, "-o", "graph").stdout == ""
    written = (programs / "graph").read_text(encoding="utf-8")
    assert written.startswith(beginning)
    assert "answer" in written
