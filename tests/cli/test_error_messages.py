"""How a command ends after an error: exit code, one message, traceback on demand."""

from __future__ import annotations

from typing import Any

import pytest

import autocog_core as autocog
from autocog_core import redaction
from tests.cli.conftest import Run


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise error

    monkeypatch.setattr(autocog.Model, "next_tokens", fail)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (autocog.InputError("is bad", where="prompt"), 2, "error: prompt: is bad\n"),
        (autocog.OutOfMemoryError("no room"), 1, "error: no room\n"),
        (
            KeyError("x"),
            1,
            "error: internal error: KeyError: 'x'; run with --debug for the traceback\n",
        ),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(32, "Broken pipe"), 1, ""),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exit_code_and_message(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, message: str
) -> None:
    failing(monkeypatch, error)
    result = run("greedy", "It is")
    assert result.exit_code == code
    assert result.stderr == message
    assert result.stdout == ""


@pytest.mark.parametrize("before", [True, False])
def test_debug_shows_the_traceback_wherever_it_stands(
    run: Run, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    failing(monkeypatch, KeyError("x"))
    arguments = ["--debug", "greedy", "It is"] if before else ["greedy", "It is", "--debug"]
    result = run(*arguments)
    assert "Traceback" in result.stderr
    assert result.exit_code == 1
    assert "Traceback" not in run("greedy", "It is").stderr


def test_debug_by_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, KeyError("x"))
    monkeypatch.setenv("AUTOCOG_DEBUG", "0")
    assert "Traceback" not in run("greedy", "It is").stderr
    monkeypatch.setenv("AUTOCOG_DEBUG", "1")
    assert "Traceback" in run("greedy", "It is").stderr


def test_no_secret_is_shown_not_even_in_a_traceback(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOCOG_TEST_SEED", "sk-4711")
    redaction.from_environment("env:AUTOCOG_TEST_SEED")
    failing(monkeypatch, ValueError("refused: sk-4711"))
    for arguments in (["greedy", "It is"], ["--debug", "greedy", "It is"]):
        result = run(*arguments)
        assert "refused: ***" in result.stderr
        assert "sk-4711" not in result.output


def test_brackets_and_control_characters_in_a_message_are_shown(run: Run) -> None:
    result = run("greedy", "It is", "-m", "[red]\x1b[31m")
    assert "[red]\\x1b[31m" in result.stderr


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["choose", "--help"]])
def test_help_is_a_result(run: Run, arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 0
    assert "Usage: autocog" in result.stdout


def test_version(run: Run) -> None:
    assert run("--version").stdout == f"autocog {autocog.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(["chose"], "'choose'"), (["choose"], "PROMPT"), (["greedy", "a", "b"], "b")],
)
def test_wrong_command_lines_are_one_message(
    wrong: Any, arguments: list[str], expected: str
) -> None:
    assert expected in wrong(*arguments)


def test_a_missing_hook_is_reported_with_the_installed_backends_that_have_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = autocog.CapabilityError("its backend does not offer it", hook="greedy_impl")
    failing(monkeypatch, error)
    message = run("greedy", "It is").stderr
    able = message.partition("installed backends that do: ")[2].split(", ")
    assert {"random", "table"} <= {name.strip() for name in able}
