"""Warnings on the command line: one line on stderr with a code, which silences it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autocog_core import WarningCode
from tests.cli.conftest import CONFIG, Run

PROGRAM = """
inputs: {question: {type: text, default: x}}
actions:
  - text: |
      It is:
  - {choices: [" a ", " b"]}
"""
CODES = ["unused-input", "choice-after-blank", "choice-ends-in-blank"]


@pytest.fixture
def program(folder: Path) -> str:
    (folder / "program.yaml").write_text(PROGRAM, encoding="utf-8")
    (folder / "rows.jsonl").write_text('{"question": "1"}\n{"question": "2"}\n', encoding="utf-8")
    return "program.yaml"


def codes(stderr: str) -> list[str]:
    lines = [line for line in stderr.splitlines() if line.startswith("warning: ")]
    return sorted(line.split(": ")[1] for line in lines)


def test_a_run_shows_each_warning_once_and_not_on_stdout(run: Run, program: str) -> None:
    once = run("run", program, "--backend", "random", "--json")
    assert codes(once.stderr) == sorted(CODES)
    assert json.loads(once.stdout)["nodes"]
    rows = run("run", program, "--backend", "random", "-i", "rows.jsonl", "-q")
    assert codes(rows.stderr) == sorted(CODES)
    assert len(rows.stderr.splitlines()) == len(CODES)
    assert len([json.loads(line) for line in rows.stdout.splitlines()]) == 2


def test_check_lists_the_same_warnings_as_data(run: Run, program: str) -> None:
    for values in ((), ("--set", "question=y")):
        result = run("check", program, "--json", *values)
        assert result.stderr == ""
        data = json.loads(result.stdout)["findings"]
        assert sorted(finding["code"] for finding in data) == sorted(CODES)


def test_warnings_are_silenced_by_option_and_by_config(run: Run, program: str) -> None:
    option = ("--silence", "unused-input", "--silence", "choice-after-blank")
    remaining = ["choice-ends-in-blank"]
    assert codes(run("run", program, "-m", "noise", *option).stderr) == remaining
    data = json.loads(run("check", program, "--json", *option).stdout)["findings"]
    assert [finding["code"] for finding in data] == remaining
    text = '[warnings]\nsilence = ["unused-input", "choice-after-blank"]\n'
    Path("autocog.toml").write_text(CONFIG + text, encoding="utf-8")
    assert codes(run("run", program, "-m", "noise").stderr) == remaining
    data = json.loads(run("check", program, "--json").stdout)["findings"]
    assert [finding["code"] for finding in data] == remaining


def test_an_unknown_code_is_an_error(run: Run, program: str) -> None:
    result = run("run", program, "--backend", "random", "--silence", "unused")
    assert result.exit_code == 2
    assert all(code in result.stderr for code in WarningCode)
    Path("autocog.toml").write_text(CONFIG + '[warnings]\nsilence = ["unused"]\n')
    result = run("run", program, "-m", "noise")
    assert result.exit_code == 2
    assert "autocog.toml: warnings.silence.0: " in result.stderr
