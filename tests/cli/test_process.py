"""The command in a separate process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

COMMAND = [sys.executable, "-m", "autocog_core.cli"]


def run(folder: Path, *arguments: str | bytes, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def test_lists_import_no_engine(folder: Path) -> None:
    code = (
        "import sys\n"
        "from autocog_core.cli.main import app\n"
        "for argument in ('--help', 'backends'):\n"
        "    sys.argv = ['autocog', argument]\n"
        "    try:\n        app()\n"
        "    except SystemExit as end:\n        assert end.code == 0, end.code\n"
        "heavy = {'torch', 'transformers', 'autocog_tf', 'openai'} & set(sys.modules)\n"
        "builtin = {m for m in sys.modules if m.startswith('autocog_core.backends.')}\n"
        "sys.exit(f'imported: {heavy | builtin}' if heavy | builtin else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_results_on_stdout_and_nothing_else(folder: Path) -> None:
    done = run(folder, "choose", "It is", "--json", "-c", " a", "-c", " b")
    assert done.returncode == 0
    assert done.stderr == ""
    assert json.loads(done.stdout)["choice"] == " a"


def test_a_usage_error_is_one_message_and_exit_code_2(folder: Path) -> None:
    done = run(folder, "greedy", "It is", "-m", "knwn")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert 'did you mean "known"?' in done.stderr


def test_argument_that_is_not_utf8_is_one_message(folder: Path) -> None:
    done = run(folder, "greedy", b"\xff")
    assert done.returncode == 2
    assert "lone surrogate" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_closed_pipe_is_no_error(folder: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "tokenize", "x" * 300],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    process.wait(timeout=60)


def test_characters_that_stdout_cannot_encode_are_escaped(folder: Path) -> None:
    done = run(folder, "choose", "It is", "-c", " é", "-c", " a", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert r"\xe9" in done.stdout
    done = run(folder, "choose", "It is", "--json", "-c", " é", PYTHONIOENCODING="ascii")
    assert json.loads(done.stdout)["choice"] == " é"
