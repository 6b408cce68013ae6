"""`autocog complete` prints the completions of the API."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import autocog_core as autocog
from tests.cli.conftest import Run

FILES = {
    "digits.txt": "[0-9]{2}\n",
    "pair.lark": 'start: "ab" | "!!"\n',
    "flag.yaml": "type: boolean\n",
}


def test_text_goes_to_stdout_and_the_summary_to_stderr(run: Run) -> None:
    result = run("complete", "It is", "--max-tokens", "3")
    assert result.stdout == " a1\n"
    assert "3 tokens, finish: length" in result.stderr
    assert run("complete", "-q", "It is", "--max-tokens", "3").stderr == ""


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ([], {}),
        (["--max-tokens", "2"], {"max_tokens": 2}),
        (["--stop", "1", "--stop", "a"], {"stop": ["1", "a"]}),
        (
            [
                "--temperature",
                "1.5",
                "--top-p",
                "0.9",
                "--top-k",
                "40",
                "--min-p",
                "0.01",
                "--seed",
                "7",
            ],
            {"temperature": 1.5, "top_p": 0.9, "top_k": 40, "min_p": 0.01, "seed": 7},
        ),
        (["--n", "3", "--temperature", "1", "--seed", "1"], {"n": 3, "temperature": 1, "seed": 1}),
        (["--chat"], {"chat": True}),
        (["--regex", " [a-z0-9]+", "--max-tokens", "4"], {"regex": " [a-z0-9]+", "max_tokens": 4}),
        (["--regex", "@@|a"], {"regex": "@|a"}),
        (["--regex", "@digits.txt"], {"regex": "[0-9]{2}"}),
        (
            ["--grammar", "@pair.lark", "--stop", "!"],
            {"grammar": 'start: "ab" | "!!"', "stop": "!"},
        ),
        (["--json-schema", "@flag.yaml"], {"json_schema": {"type": "boolean"}}),
        (["--json-schema", '{"enum": [1]}', "-n", "2"], {"json_schema": {"enum": [1]}, "n": 2}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_json_is_the_result_of_the_api(
    run: Run, folder: Path, options: list[str], arguments: dict[str, Any]
) -> None:
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    result = run("complete", "--json", "It is", *options)
    prompt: dict[str, Any] = {"prompt": "It is"}
    if arguments.pop("chat", False):
        prompt = {"messages": [{"role": "user", "content": "It is"}]}
    with autocog.load() as model:
        assert json.loads(result.stdout) == model.complete(**prompt, **arguments).to_dict()
    assert result.stderr == ""


def test_a_constrained_text_has_both_log_probabilities(run: Run) -> None:
    result = run("complete", "It is", "--regex", " (a1|b2)", "--max-tokens", "9")
    with autocog.load() as model:
        completion = model.complete("It is", regex=" (a1|b2)", max_tokens=9)
    assert completion.text == " a1"
    assert result.stdout == " a1\n"
    assert completion.constrained_logprob is not None
    assert f", constrained_logprob {completion.constrained_logprob:.3f}" in result.stderr


def test_the_config_sets_defaults(run: Run, folder: Path) -> None:
    config = folder / "autocog.toml"
    config.write_text(
        '[models.short]\nbackend = "random"\ncompletion = { max_tokens = 2 }\n', encoding="utf-8"
    )
    assert len(json.loads(run("complete", "--json", "Hi").stdout)["tokens"]) == 2
    longer = run("complete", "--json", "Hi", "--max-tokens", "4").stdout
    assert len(json.loads(longer)["tokens"]) == 4


def test_alternatives_are_all_printed(run: Run) -> None:
    output = run(
        "complete", "It is", "--n", "2", "--temperature", "1", "--max-tokens", "3", "--seed", "1"
    ).stdout
    assert "--- 1: 3 tokens" in output
    assert "--- 2: 3 tokens" in output


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--max-tokens", "0"], "--max-tokens"),
        (["--top-p", "2"], "--top-p"),
        (["--stop", ""], "stop: expected texts"),
        (["--max-tokens", "200000"], "context"),
        (["--regex", "a", "--json-schema", "{}"], "--regex and --json-schema: give one of them"),
        (["--regex", "@no.txt"], "no.txt: cannot be read"),
        (["--json-schema", "{"], "--json-schema: is not JSON"),
        (["--json-schema", "5"], "--json-schema: is not a JSON Schema"),
        (["--json-schema", "@autocog.toml"], "autocog.toml: is not JSON"),
    ],
    ids=str,
)
def test_wrong_arguments_are_one_message(
    wrong: Callable[..., str], options: list[str], expected: str
) -> None:
    assert expected in wrong("complete", "It is", *options)


def test_standard_input_is_read_only_once(wrong: Callable[..., str]) -> None:
    assert "--regex: standard input" in wrong("complete", "-", "--regex", "@-", stdin="a")
