"""`autocog choose`: the API's numbers, and warnings about likely mistakes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import autocog_core as autocog
from autocog_core.cli.choose import BoundaryName
from tests.cli.conftest import Run


def api(prompt: str, choices: list[str], model: str = "known", **arguments: Any) -> dict[str, Any]:
    with autocog.load(model) as loaded:
        return loaded.choose(prompt, choices, **arguments).to_dict()


def test_json_is_the_result_of_the_api(run: Run) -> None:
    result = run("choose", "-m", "noise", "--json", "Say", "--choice", " b", "-c", " a", "-c", " c")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert json.loads(result.stdout) == api("Say", [" b", " a", " c"], "noise")


def test_json_holds_the_numbers_written_in_the_table(run: Run) -> None:
    data = json.loads(run("choose", "--json", "It is", "-c", " b", "-c", " a").stdout)
    assert [score["choice"] for score in data["scores"]] == [" b", " a"]
    assert data["index"] == 1
    assert data["choice"] == " a"
    assert [score["prob"] for score in data["scores"]] == pytest.approx([1 / 3, 2 / 3], rel=1e-6)
    assert data["margin"] == pytest.approx(1 / 3, rel=1e-6)
    assert {"boundary", "has_prefix_choices", "entropy"} <= data.keys()
    score_keys = {"logprob", "mean_logprob", "logprob_per_byte", "tokens", "token_logprobs"}
    assert score_keys <= data["scores"][0].keys()


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        (["--norm", "mean"], {"norm": "mean"}),
        (["--norm", "per_byte"], {"norm": "per_byte"}),
        (
            ["--norm", "pmi", "--unconditional-prompt", "It"],
            {"norm": "pmi", "unconditional_prompt": "It"},
        ),
        (["--suffix", "!"], {"suffix": "!"}),
        (["--suffix-eos"], {"suffix": autocog.EOS}),
        (["--boundary", "strict"], {"boundary": "strict"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_every_option_reaches_the_api(
    run: Run, options: list[str], arguments: dict[str, Any]
) -> None:
    result = run("choose", "--json", "It is", "-c", " a", "-c", " a1", "-c", " b", *options)
    assert json.loads(result.stdout) == api("It is", [" a", " a1", " b"], **arguments)
    assert json.loads(result.stdout) != api("It is", [" a", " a1", " b"]) or "strict" in options


def test_chat_gives_the_prompt_as_a_message(run: Run) -> None:
    command = ["choose", "--json", "Hi", "-c", " a", "-c", " b", "-m", "noise"]
    user = {"role": "user", "content": "Hi"}
    system = {"role": "system", "content": "Be brief"}
    with autocog.load("noise") as model:
        plain = model.choose(messages=[user], choices=[" a", " b"]).to_dict()
        led = model.choose(messages=[system, user], choices=[" a", " b"]).to_dict()
    assert json.loads(run(*command, "--chat").stdout) == plain
    assert json.loads(run(*command, "--system", "Be brief").stdout) == led
    assert plain != led


def test_the_names_of_options_are_those_of_the_api() -> None:
    assert [boundary.value for boundary in BoundaryName] == ["heal", "strict"]


def test_the_separator_is_between_prompt_and_choice_and_is_not_shown(run: Run) -> None:
    result = run("choose", "--json", "It is", "-c", "a", "-c", "b", "--separator", " ")
    data = json.loads(result.stdout)
    assert result.stderr == ""
    assert [score["choice"] for score in data["scores"]] == ["a", "b"]
    assert data["choice"] == "a"
    expected = api("It is", [" a", " b"])
    assert [{**score, "choice": f" {score['choice']}"} for score in data["scores"]] == (
        expected["scores"]
    )


def test_a_choice_that_continues_a_word_gets_a_warning_with_the_fix(run: Run) -> None:
    result = run("choose", "--json", "It is", "-c", "a", "-c", "b")
    assert json.loads(result.stdout)["scores"]
    assert result.stderr.startswith("warning: ")
    assert len(result.stderr.splitlines()) == 1
    assert '"isa"' in result.stderr
    assert '--separator " "' in result.stderr


@pytest.mark.parametrize(
    ("prompt", "choice"), [("It is", " a"), ("It is ", "a"), ("12:", "a"), ("これは", "水")]
)
def test_a_choice_that_begins_a_word_gets_no_warning(run: Run, prompt: str, choice: str) -> None:
    result = run("choose", prompt, "-c", choice)
    assert result.exit_code == 0
    assert result.stderr == ""


def test_backslash_n_gets_a_warning(run: Run) -> None:
    assert "not a newline" in run("choose", "It is", "-c", " a", "--suffix", r"\n").stderr


def test_choices_file_has_one_choice_a_line(run: Run, folder: Path) -> None:
    (folder / "choices.txt").write_bytes(" b\r\n\n é\u2028!\n".encode())
    result = run("choose", "--json", "It is", "-c", " a", "--choices-file", "choices.txt")
    choices = [score["choice"] for score in json.loads(result.stdout)["scores"]]
    assert choices == [" a", " b", " é\u2028!"]


def test_dash_reads_the_prompt_from_standard_input(run: Run) -> None:
    output = run("choose", "--json", "-", "-c", " a", "-c", " b", stdin="It is\n").stdout
    assert json.loads(output) == api("It is", [" a", " b"])


def test_table_shows_the_choices_in_order_with_the_pick_marked(run: Run) -> None:
    lines = run("choose", "It is", "-c", " b", "-c", " a", "-c", " [red]").stdout.splitlines()
    rows = [line for line in lines if "' " in line]
    assert [line.split("'")[1] for line in rows] == [" b", " a", " [red]"]
    assert [line[0] for line in rows] == [" ", ">", " "]
    assert "0.6667" in rows[1]
    assert "\x1b" not in "".join(lines)
    assert max(len(line) for line in lines) <= 80


def test_narrow_table_keeps_every_choice_and_its_probability(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    output = run("choose", "It is", "-c", " b", "-c", " a").stdout
    assert "' a'" in output
    assert "0.6667" in output
    assert max(len(line) for line in output.splitlines()) <= 40


def test_escape_characters_in_a_choice_do_not_reach_the_terminal(run: Run) -> None:
    assert "\x1b" not in run("choose", "It is", "-c", "\x1b[31m").stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "--choice TEXT"),
        (["-c", ""], "choice 0: is empty"),
        (["-c", "", "--separator", " "], "choice 0: is empty"),
        (["-c", " a", "-c", " a"], "was given before"),
        (
            ["-c", " a", "--suffix", "x", "--suffix-eos"],
            "--suffix: cannot be combined with --suffix-eos",
        ),
        (["-c", " a", "--unconditional-prompt", "x"], "--norm pmi"),
        (["-c", " a", "--norm", "medium"], "per_byte"),
        (["-c", " \udcff"], "lone surrogate"),
        (["--choices-file", "nowhere"], "nowhere"),
    ],
    ids=str,
)
def test_wrong_choices_are_one_message_and_the_next_call_works(
    run: Run, wrong: Callable[..., str], arguments: list[str], expected: str
) -> None:
    assert expected in wrong("choose", "It is", *arguments)
    assert run("choose", "It is", "-c", " a").exit_code == 0


def test_top_prints_the_best_choices_and_their_proof(run: Run) -> None:
    labels = [f" {first} {second}" for first in "abcd" for second in "efg"]
    options = [part for label in labels for part in ("-c", label)]
    command = ["choose", "-m", "noise", "Say", *options, "--top", "2"]
    result = run(*command)
    assert result.exit_code == 0, result.stderr
    proof = r"proven: \d+ of \d+ nodes read \(\d+%\), \d+ steps?, \d+ tokens"
    assert re.search(proof, result.stdout)
    data = json.loads(run(*command, "--within", "0.5", "--at-least", "0.1", "--json").stdout)
    assert data == api("Say", labels, "noise", top=2, within=0.5, at_least=0.1)
    assert "is_at_least" in data
    assert "prob between" not in run(*command, "--within", "0").stdout
    for option in ("--within", "--at-least"):
        alone = run("choose", "Say", "-c", " a", "-c", " b", option, "0.1")
        assert alone.exit_code == 2
        assert "requires --top" in alone.stderr
