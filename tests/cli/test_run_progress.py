"""The progress of a run: a bar on a terminal, lines elsewhere; rate, errors and accuracy so far."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from autocog_core.cli import run_progress
from tests.cli.conftest import Run as Invoke
from tests.cli.test_process import COMMAND
from tests.support.row_files import write_rows

PROGRAM = """
inputs: {question: text}
actions:
- text: "{{ question }}:"
- {name: answer, choices: [" a", " b"]}
"""
COMMAND_LINE = ("run", "program.yaml", "-m", "noise", "-i", "rows.jsonl", "-o", "out.jsonl")


@pytest.fixture
def files(folder: Path) -> Path:
    (folder / "program.yaml").write_text(PROGRAM, encoding="utf-8")
    rows = [{"question": f"Question {n}", "gold": "ab"[n % 2]} for n in range(30)]
    write_rows(folder, ".jsonl", [*rows[:7], {"question": None}, *rows[7:]])
    return folder


def test_without_a_terminal_lines_show_the_progress(
    files: Path, run: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = run(*COMMAND_LINE, "--gold", "gold", "--limit", "5")
    assert " of 31 rows" not in quiet.stderr
    monkeypatch.setattr(run_progress, "LINE_SECONDS", 0.0)
    result = run(*COMMAND_LINE, "--gold", "gold")
    lines = [line for line in result.stderr.splitlines() if " of 31 rows" in line]
    rows = [json.loads(line) for line in (files / "out.jsonl").read_text().splitlines()]
    # None for the row before the first of this run, and none for the last one.
    assert [int(line.split()[0]) for line in lines] == list(range(5, 31))
    right = errors = answered = 0
    for row, line in zip(rows[5:], lines[1:], strict=False):
        errors += row["error"] is not None
        if row["error"] is None and row["gold"] is not None:
            answered += 1
            right += row["fields"]["answer"] == row["gold_choice"]
        counts = [] if not errors else ["1 error"]
        counts += [f"accuracy {right / answered:.3f}"] if answered else []
        pattern = rf"{row['row'] + 1} of 31 rows, [\d.]+ (rows/s|s/row), [^,]+ left"
        assert re.fullmatch(", ".join([pattern, *map(re.escape, counts)]), line), line
    assert " of 31 rows" not in run(*COMMAND_LINE, "--gold", "gold", "-q", "--overwrite").stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_terminal_has_a_bar_with_rate_errors_and_accuracy(files: Path) -> None:
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *COMMAND_LINE, "--gold", "gold"],
        cwd=files,
        env={**os.environ, "COLUMNS": "100", "TERM": "xterm"},
        stdout=child,
        stderr=child,
    )
    os.close(child)
    shown = b""
    while True:
        try:
            shown += os.read(parent, 4096)
        except OSError:
            break
    os.close(parent)
    assert process.wait(timeout=60) == 0
    text = shown.decode()
    assert "31/31" in text
    assert re.search(r"rows/s", text)
    assert re.search(r"1 error, accuracy 0\.\d{3}", text)
