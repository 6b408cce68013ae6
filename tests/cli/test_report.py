"""`autocog report`: a page, JSON, and one line for what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Run

PROGRAM = """
inputs: {text: text}
actions:
- text: "It is "
- {name: topic, choices: [a, b]}
"""


@pytest.fixture
def files(folder: Path, run: Run) -> Path:
    """A folder with the outputs of two runs."""
    (folder / "program.yaml").write_text(PROGRAM)
    (folder / "rows.csv").write_text("text,right,part\none,a,x\ntwo,b,y\nthree,a,x\n")
    rows = ("run", "program.yaml", "-i", "rows.csv", "--gold", "right", "-q")
    assert run(*rows, "-m", "known", "-o", "known.csv", "--trees", "trees").exit_code == 0
    assert run(*rows, "-m", "noise", "-o", "noise.jsonl").exit_code == 0
    return folder


def test_a_page_and_json_are_written(files: Path, run: Run) -> None:
    result = run("report", "known.csv", "noise.jsonl", "-o", "page.html", "--json", "out.json")
    assert (result.exit_code, result.stdout) == (0, ""), result.stderr
    assert result.stderr.splitlines()[-1] == "out.json: 3 rows, 3 rows"
    page = (files / "page.html").read_text(encoding="utf-8")
    assert "<title>Report of known.csv and noise.jsonl</title>" in page
    assert 'id="tree-0-1"' in page
    data = json.loads((files / "out.json").read_text(encoding="utf-8"))
    known, noise = data["runs"]
    assert (known["name"], known["program"], known["backend"]) == (
        "known.csv", "program.yaml", "table",
    )  # fmt: skip
    assert noise["backend"] == "random"
    assert (known["accuracy"]["count"], known["accuracy"]["rows"]) == (2, 3)
    assert known["costs"]["timed_rows"] == 3
    printed = run("report", "known.csv.rows.jsonl", "noise.jsonl", "--json", "-")
    assert printed.exit_code == 0
    assert json.loads(printed.stdout)["pairs"] == data["pairs"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["known.csv"], "error: report: nothing to write; give -o FILE or --json FILE"),
        (["rows.csv", "-o", "page.html"], "is not the journal of a run"),
        (["known.csv", "-o", "known.csv"], "is a file of a run; name another file"),
        (["noise.jsonl", "-o", "noise.jsonl"], "is a file of a run; name another file"),
        (["known.csv", "-o", "known.csv.rows.jsonl"], "is a file of a run; name another file"),
        (["known.csv", "--json", "known.csv.rows.jsonl.run.json"], "is a file of a run"),
        (["noise.jsonl", "-o", "no/page.html"], "cannot be written: No such file"),
        (["noise.jsonl", "--json", "-", "--gold", "tight"], 'no column "tight"; did you mean'),
        (["noise.jsonl", "noise.jsonl", "--json", "-"], "is given twice"),
        (["noise.jsonl", "-o", "page.html", "--tree-dir", "none"], "there is no such folder"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_is_wrong_is_one_line(
    files: Path, wrong: Callable[..., str], arguments: list[str], message: str
) -> None:
    assert message in wrong("report", *arguments)
    assert (files / "noise.jsonl").read_text(encoding="utf-8").count("\n") == 3
