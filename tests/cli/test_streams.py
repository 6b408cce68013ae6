"""Standard output and error: redirected, closed, full, or with a reader that ends."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.test_process import COMMAND

PROGRAM = """
inputs: {question: text}
actions:
- text: "{{ question }}:"
- {name: answer, choices: [" a", " b"]}
"""
#: Colors and styles; all other escape sequences move the cursor or change the screen.
STYLE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def files(folder: Path) -> Path:
    (folder / "program.yaml").write_text(PROGRAM, encoding="utf-8")
    (folder / "rows.jsonl").write_text('{"question": "One"}\n' * 40, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "arguments",
    [
        "run program.yaml -m noise -i rows.jsonl --limit 3",
        "run program.yaml -m noise -i rows.jsonl -o out.jsonl",
        "run program.yaml -m noise --set question=One",
        "choose 'It is' -c ' a' -c ' b'",
        "choose 'It is' -c ' a' -c ' b' --json",
        "complete 'It is'",
        "greedy 'It is'",
        "tokenize 'It is'",
        "backends",
        "models",
        "show program.yaml",
        "check program.yaml -m noise",
        pytest.param("doctor --no-load", marks=pytest.mark.soak),
        "conformance known",
        "choose",
        "--help",
        "run --help",
    ],
)
def test_forced_colors_put_no_bars_into_files(
    files: Path, run: Run, monkeypatch: pytest.MonkeyPatch, arguments: str
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = run(*shlex.split(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "\x1b" not in result.stdout
    assert "\x1b" not in STYLE.sub("", result.stderr)
    assert "\r" not in result.stderr


def test_forced_colors_color_messages(
    files: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert STYLE.search(run("choose").stderr)


def shell(folder: Path, arguments: str, redirection: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", f"exec {shlex.join(COMMAND)} {arguments} {redirection}"],
        cwd=folder,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


needs_dev_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


@needs_dev_full
def test_a_full_stdout_is_one_message(files: Path) -> None:
    done = shell(files, "run program.yaml -m noise -i rows.jsonl -q", ">/dev/full")
    assert done.returncode == 1
    assert done.stderr == "error: cannot write the output: No space left on device\n"


@needs_dev_full
def test_a_full_stderr_ends_no_run(files: Path) -> None:
    done = shell(files, "run program.yaml -m noise -i rows.jsonl", "2>/dev/full")
    assert done.returncode == 0
    assert done.stdout.count("\n") == 40


def test_closed_streams_end_no_run_that_writes_a_file(files: Path) -> None:
    done = shell(files, "run program.yaml -m noise -i rows.jsonl -o out.jsonl", ">&- 2>&- <&-")
    assert done.returncode == 0
    assert (files / "out.jsonl").read_bytes().count(b"\n") == 40


def test_a_result_for_a_closed_stdout_is_not_lost_without_a_word(files: Path) -> None:
    done = shell(files, "choose 'It is' -c ' a' -c ' b'", ">&-")
    assert done.returncode == 1
    assert done.stderr == "error: cannot write the output: Bad file descriptor\n"


def test_a_reader_that_ends_is_no_error(files: Path) -> None:
    done = shell(files, "run program.yaml -m noise -i rows.jsonl -q", "| head -1")
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
