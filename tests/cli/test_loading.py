"""Which model a command uses, and the error if there is none."""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import autocog_core as autocog
from autocog_core.backends.random import RandomLM
from autocog_core.cli import small_model
from autocog_core.cli.inputs import parse_toml_value
from autocog_core.cli.small_model import MODEL_PATH
from tests.cli.conftest import Run


def test_backend_and_options_need_no_config_file(run: Run, folder: Path) -> None:
    (folder / "autocog.toml").unlink()
    options = ["--option", "seed=5", "--option", "vocabulary=merges"]
    result = run("choose", "--json", "Hi", "-c", " a", "-c", " b", "--backend", "random", *options)
    with autocog.load(backend="random", options={"seed": 5, "vocabulary": "merges"}) as model:
        assert json.loads(result.stdout) == model.choose("Hi", [" a", " b"]).to_dict()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("0.5", 0.5),
        ("true", True),
        ('"3"', "3"),
        ("[1, 2]", [1, 2]),
        ("{a = 1}", {"a": 1}),
        ("cpu", "cpu"),
        ("", ""),
        ("a=b", "a=b"),
        ("2026-01-01", "2026-01-01"),
        ("1\nother = 2", "1\nother = 2"),
    ],
)
def test_option_values_are_toml_or_strings(text: str, value: object) -> None:
    assert parse_toml_value(text) == value
    assert type(parse_toml_value(text)) is type(value)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-m", "knwn"], 'no model "knwn"; did you mean "known"?'),
        (["--config", "nowhere.toml"], "no such file: nowhere.toml"),
        (["-m", "keyed"], "AUTOCOG_TEST_SEED is not set"),
        (["--backend", "randm"], 'did you mean "random"?'),
        (["--backend", "random", "--option", "sede=1"], 'did you mean "seed"?'),
        (["--backend", "random", "--option", "seed=x"], "options.seed"),
        (["--backend", "random", "--option", "seed"], "KEY=VALUE"),
        (["--backend", "random", "--option", "seed=1", "--option", "seed=2"], "given twice"),
        (["--backend", "random", "-m", "known"], "cannot be combined with --model"),
        (["--option", "seed=1"], "requires --backend"),
        (["--nonsense"], "--nonsense"),
    ],
    ids=str,
)
def test_a_wrong_model_option_is_one_message_and_the_next_call_works(
    run: Run, wrong: Callable[..., str], arguments: list[str], expected: str
) -> None:
    assert expected in wrong("greedy", "It is", *arguments)
    assert run("greedy", "It is").exit_code == 0


@pytest.mark.parametrize("installed", [["llamacpp"], []], ids=str)
def test_no_config_file_says_a_command_that_works(
    run: Run,
    wrong: Callable[..., str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    installed: list[str],
) -> None:
    (folder / "autocog.toml").unlink()
    monkeypatch.setattr(small_model, "small_model_backends", lambda: installed)
    arguments = ["choose", "-c", "4", "-c", " 5", "--json", "--", "-5 + 9 ="]
    message = wrong(*arguments)
    assert "autocog init" in message
    assert ("pip install" in message) == (not installed)
    line = shlex.split(message.partition("type: ")[2])
    assert line[0] == "autocog"
    expected = ["--backend", "llamacpp", "--option", f"model_path={MODEL_PATH}"]
    if not installed:
        expected = ["--backend", "random"]
        assert run(*line[1:]).exit_code == 0
    assert line[1:] == [*arguments[:-2], *expected, *arguments[-2:]]
    assert "autocog choose ... --backend" in wrong("choose", "a\nb", "-c", " c")


def test_a_model_without_a_config_file_says_what_writes_one(
    wrong: Callable[..., str], folder: Path
) -> None:
    (folder / "autocog.toml").unlink()
    assert "`autocog init`" in wrong("choose", "a", "-c", " b", "--model", "m")


def test_the_model_reports_input_that_is_not_utf8(wrong: Callable[..., str]) -> None:
    assert "lone surrogate" in wrong("greedy", "\udcff")
    assert "lone surrogate" in wrong("greedy", "-", stdin=b"\xff")


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_closed_however_the_command_ends(
    run: Run, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    closed: list[autocog.Model] = []
    monkeypatch.setattr(autocog.Model, "close", lambda model: closed.append(model))
    result = run("choose", "It is", "-c", "" if fails else " a")
    assert result.exit_code == (2 if fails else 0)
    assert len(closed) == 1


def test_log_messages_of_a_backend_go_to_stderr_and_quiet_hides_them(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def create(**options: Any) -> dict[str, Any]:
        logging.getLogger("autocog_core.backends").info("converting weights")
        return dict(options)

    monkeypatch.setattr(RandomLM, "create", create)
    loud = run("greedy", "It is", "-m", "noise", "--json")
    assert loud.stderr == "converting weights\n"
    assert json.loads(loud.stdout)
    assert run("greedy", "It is", "-m", "noise", "-q").stderr == ""
    assert run("-q", "greedy", "It is", "-m", "noise").stderr == ""
    assert logging.getLogger("autocog_core").handlers == []
