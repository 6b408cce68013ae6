"""`autocog run --marginals`: one input, all rows, and wrong arguments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

PROGRAM = """
inputs: {question: text}
actions:
- text: "{{ question }}"
- {name: thought, length: 3, samples: 4, width: null}
- text: " So:"
- {name: answer, choices: [" Yes", " No"], width: null}
"""


@pytest.fixture
def files(folder: Path) -> Path:
    """A folder with a program, and rows for it."""
    (folder / "program.yaml").write_text(PROGRAM, encoding="utf-8")
    narrow = PROGRAM.replace("samples: 4, width: null", "samples: 4")
    (folder / "narrow.yaml").write_text(narrow, encoding="utf-8")
    (folder / "rows.csv").write_text("question,right\nIs it?,Yes\nWas it?,No\n", encoding="utf-8")
    return folder


def test_one_input_and_all_rows(files: Path, run: Run) -> None:
    command = ("run", "program.yaml", "-m", "noise", "--marginals", "answer")
    one = run(*command, "--set", "question=Is it?")
    assert one.exit_code == 0, one.stderr
    lines = [line for line in one.stdout.splitlines() if "±" in line]
    assert len(lines) == 2
    assert lines[0].startswith("marginal answer")
    rows = run(*command, "-i", "rows.csv", "-o", "out.jsonl", "--gold", "right")
    assert rows.exit_code == 0, rows.stderr
    assert "marginal accuracy" in rows.stderr
    written = [json.loads(line) for line in (files / "out.jsonl").read_text().splitlines()]
    (best, *_) = written[0]["marginals"]["answer"]["values"]
    assert f"{best['prob']:.4f} ± " in lines[0]
    stream = run(*command, "-i", "rows.csv", "--output-format", "csv")
    assert "answer.marginal,answer.marginal.prob" in stream.stdout.splitlines()[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["program.yaml", "--marginals", "anwser"], 'did you mean "answer"'),
        (["narrow.yaml", "--marginals", "answer"], "follow all of them: width: null"),
        (["program.yaml", "--marginals", "answer", "--json"], "leave out --json"),
    ],
)
def test_wrong_marginals_are_reported(
    files: Path, run: Run, arguments: list[str], message: str
) -> None:
    # The model does not exist: it is loaded later.
    result = run("run", *arguments, "-m", "nothing", "--set", "question=Is it?")
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
