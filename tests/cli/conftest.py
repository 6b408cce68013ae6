"""A config with models whose results are known, and fixtures to run a command line on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from autocog_core.cli.main import app
from tests.support.command_line import keep_commands

CONFIG = """
default_model = "known"

[models.known]
backend = "table"
[models.known.options.rows]
"It is" = {" " = 0.8, "!" = 0.1, "<|eos|>" = 0.06, "s" = 0.02}
"It is " = {"a" = 0.6, "b" = 0.3}
"It is a" = {"1" = 0.5, "<|eos|>" = 0.25}

[models.noise]
backend = "random"
options = { seed = 3 }

[models.keyed]
backend = "random"
options = { seed = "env:AUTOCOG_TEST_SEED" }
"""

Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a config file in it."""
    (tmp_path / "autocog.toml").write_text(CONFIG, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name in ("AUTOCOG_CONFIG", "AUTOCOG_DEBUG", "AUTOCOG_TEST_SEED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in this process."""
    keep_commands(monkeypatch)

    def invoke(*arguments: str, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(app, list(arguments), input=stdin)

    return invoke


@pytest.fixture
def colored_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in this process, with a terminal as its stdout."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(
        "typer.testing._NamedTextIOWrapper.isatty",
        lambda stream: stream.name == "<stdout>",
        raising=False,
    )
    return run


@pytest.fixture
def terminal(colored_terminal: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in this process, with a terminal without styles as its stdout."""
    monkeypatch.setattr("rich.console.Console._detect_color_system", lambda console: None)
    return colored_terminal


@pytest.fixture
def wrong(run: Run) -> Callable[..., str]:
    """Run a command line with a usage error; return its one message on stderr."""

    def invoke(*arguments: str, stdin: str | bytes | None = None) -> str:
        result = run(*arguments, stdin=stdin)
        assert result.exit_code == 2, result.output
        assert result.stdout == ""
        lines = [line for line in result.stderr.splitlines() if not line.startswith("warning: ")]
        assert len(lines) == 1, result.stderr
        assert lines[0].startswith("error: ")
        assert "Traceback" not in result.stderr
        return lines[0]

    return invoke
