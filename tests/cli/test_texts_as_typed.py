"""Prompts and choices reach the model as they were typed."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import pytest

from autocog_core.cli.main import app
from tests.cli.conftest import Run

RANDOM = ["--backend", "random", "--json"]


class Windows:
    """The module `os`, as the libraries of the command line see it on Windows."""

    name = "nt"

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


@pytest.mark.parametrize("prompt", ["$HOME", "${HOME} or %PATH%?", "~", "*", "[a-z]*.toml"])
def test_windows_replaces_nothing_in_a_prompt(
    prompt: str, folder: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in ("typer.core", "click.core"):
        if module in sys.modules:
            monkeypatch.setattr(sys.modules[module], "os", Windows(), raising=False)
    monkeypatch.setenv("HOME", "replaced")
    # Only what the shell has passed is replaced.
    monkeypatch.setattr(sys, "argv", ["autocog", "choose", "x", "-c", prompt, "-c", "b", *RANDOM])
    with pytest.raises(SystemExit):
        app()
    scores = json.loads(capsys.readouterr().out)["scores"]
    assert [score["choice"] for score in scores] == [prompt, "b"]


DASHED = "-5 + 3 ="


@pytest.mark.parametrize("choice", [" -2", "-2", "-c", "--json", "-", "--"])
def test_a_choice_may_begin_with_a_dash(run: Run, choice: str) -> None:
    result = run("choose", "-c", choice, "--choice=-3", *RANDOM, "--", DASHED)
    assert result.exit_code == 0, result.stderr
    scores = json.loads(result.stdout)["scores"]
    assert [score["choice"] for score in scores] == [choice, "-3"]


@pytest.mark.parametrize("command", ["choose", "complete", "greedy", "tokenize"])
def test_a_text_may_begin_with_a_dash_after_two_dashes(run: Run, command: str) -> None:
    choices = ["-c", " -2", "-c", " 2"] if command == "choose" else []
    assert run(command, *choices, *RANDOM, "--", DASHED).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "usage"),
    [
        (["choose", DASHED, "-c", " -2"], "autocog choose [OPTIONS] -- PROMPT"),
        (["choose", "-c maybe", "-c", "b"], "autocog choose [OPTIONS] -- PROMPT"),
        (["complete", DASHED], "autocog complete [OPTIONS] -- PROMPT"),
        (["complete", "-n 3"], "autocog complete [OPTIONS] -- PROMPT"),
        (["greedy", "- a list"], "autocog greedy [OPTIONS] -- PROMPT"),
        (["tokenize", "--- a line"], "autocog tokenize [OPTIONS] -- TEXT"),
        (["run", "-x.yaml"], "autocog run [OPTIONS] -- PROGRAM"),
        (["show", "-x.yaml"], "autocog show [OPTIONS] -- FILE"),
    ],
)
def test_the_error_for_a_text_that_looks_like_an_option_names_the_two_dashes(
    wrong: Any, arguments: list[str], usage: str
) -> None:
    assert usage in wrong(*arguments)


def test_a_misspelt_option_gets_the_nearest_one(wrong: Any) -> None:
    message = wrong("choose", "It is", "--chioce", "a")
    assert "--choice" in message
    assert " -- " not in message
    assert " -- " not in wrong("models", "-x")
