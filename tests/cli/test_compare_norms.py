"""`autocog compare-norms`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Run

PROGRAM = """
inputs: {q: text}
actions:
  - text: "Q: {{ q }}\\nA:"
  - name: answer
    choices: [" yes", " no, not at all", " perhaps"]
"""


@pytest.fixture
def rows(folder: Path) -> Path:
    (folder / "p.yaml").write_text(PROGRAM, encoding="utf-8")
    path = folder / "rows.jsonl"
    lines = [{"q": f"Is it {index}?", "right": ["yes", "perhaps"][index % 2]} for index in range(6)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_the_table_has_all_norms_and_a_recommendation(run: Run, rows: Path) -> None:
    command = ["compare-norms", "p.yaml", "-i", rows.name, "--gold", "right", "-m", "noise"]
    result = run(*command, "--json")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert [entry["norm"] for entry in data["results"]] == ["sum", "mean", "per_byte", "pmi"]
    assert data["answered"] == data["rows"] == 6
    assert data["unconditional_prompts"] == {"": 6}
    shown = run(*command, "--limit", "4")
    assert shown.exit_code == 0, shown.output
    for words in ("per_byte", "log loss", "4 of 4 rows", "over BOS alone", "use "):
        assert words in shown.stdout, shown.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--gold", "right"], "--input: is required"),
        (["--gold", "wrong", "-i", "rows.jsonl"], 'no column "wrong"'),
        (["--gold", "other=right", "-i", "rows.jsonl"], 'no field "other"'),
        (["-i", "rows.jsonl"], "--gold"),
    ],
)
def test_wrong_arguments_are_one_error(
    wrong: Callable[..., str], rows: Path, arguments: list[str], words: str
) -> None:
    assert words in wrong("compare-norms", "p.yaml", *arguments, "-m", "noise")


def test_it_fails_if_no_row_succeeds(run: Run, rows: Path) -> None:
    rows.write_text('{"q": 1, "right": "yes"\n', encoding="utf-8")
    result = run("compare-norms", "p.yaml", "-i", rows.name, "--gold", "right", "-m", "noise")
    assert result.exit_code in (1, 2), result.output
    assert "error: " in result.stderr
