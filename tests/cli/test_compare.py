"""`autocog compare` reads the work from files, and shows the results of `Model.compare`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import autocog_core as autocog
from tests.cli.conftest import Run

PROGRAM = """
inputs: {message: text}
actions:
  - text: "{{ message }}"
  - {name: topic, choices: [" a", " b", "!"]}
"""
FILES = {
    "program.yaml": PROGRAM,
    "rows.csv": "message\nIt is\nlost\n",
    "texts.txt": "It is a\n\nno [red]\x1b[31m\n",
    "texts.csv": 'text,other\n"It is a",1\nno,2\n',
    "prompts.csv": 'prompt,choices\nIt is,"["" a"", ""!""]"\nNo,"["" b"", "" c""]"\n',
    "prompts.jsonl": '{"prompt": "It is", "choices": [" a", "!"]}\n',
    "broken.jsonl": '{"prompt": "It is", "choices": 3}\n',
    "half.jsonl": '{"prompt": "It is", "choices": [" a"]}\n{"prompt": "It is"}\n',
    "bare.csv": "prompt\nlost\n",
    "other.csv": "message\nlost\n",
    "empty.txt": "\n",
}


@pytest.fixture(autouse=True)
def files(folder: Path) -> None:
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")


def without_times(data: dict[str, Any]) -> dict[str, Any]:
    for side in ("first", "second"):
        for name in ("seconds", "seconds_per_call", "tokens_per_second"):
            del data[side][name]
    return data


@pytest.mark.parametrize(
    ("arguments", "work", "keywords"),
    [
        (["texts.txt"], ["It is a", "no [red]\x1b[31m"], {}),
        (["texts.csv", "--context", "So: "], ["It is a", "no"], {"context": "So: "}),
        (["texts.txt", "-c", "x", "-c", "y", "--limit", "1"], ["It is a"], {"choices": ["x", "y"]}),
        (["prompts.csv"], ["It is", "No"], {"choices": [[" a", "!"], [" b", " c"]]}),
        (
            ["prompts.jsonl", "--norm", "mean"],
            ["It is"],
            {"choices": [[" a", "!"]], "norm": "mean"},
        ),
        (["program.yaml", "--set", "message=It is"], None, {"rows": [{"message": "It is"}]}),
        (
            ["program.yaml", "-i", "rows.csv"],
            None,
            {"rows": [{"message": "It is"}, {"message": "lost"}]},
        ),
    ],
)
def test_json_has_the_numbers_of_the_api(
    run: Run, arguments: list[str], work: list[str] | None, keywords: dict[str, Any]
) -> None:
    result = run("compare", "known", "noise", *arguments, "--json")
    assert result.exit_code == 0, result.output
    with autocog.load("known") as first, autocog.load("noise") as second:
        compared = first.compare(
            second, work or autocog.Automaton.from_file("program.yaml"), **keywords
        )
    assert without_times(json.loads(result.stdout)) == without_times(compared.to_dict())


def test_tables_show_texts_as_they_are(run: Run) -> None:
    output = run("compare", "known", "noise", "texts.txt").stdout
    assert "\x1b" not in output
    assert "KL" in output
    output = run("compare", "known", "noise", "program.yaml", "-i", "rows.csv").stdout
    assert "topic" in output


def test_a_model_may_be_a_backend_or_have_other_options(run: Run) -> None:
    def divergence(*arguments: str) -> float:
        output = run("compare", *arguments, "texts.txt", "--json").stdout
        return float(json.loads(output)["divergence"]["max"])

    assert divergence("noise", "random", "--second-option", "seed=3") == 0
    assert divergence("noise", "noise") == 0
    assert divergence("noise", "noise", "--first-option", "seed=4") > 0


def test_too_little_agreement_is_a_failure(run: Run) -> None:
    arguments = ("compare", "known", "noise", "prompts.csv", "--min-agreement")
    same = json.loads(run(*arguments, "0", "--json").stdout)["agreement"]
    assert run(*arguments, str(same)).exit_code == 0
    result = run("compare", "known", "noise", "texts.txt", "-c", "x", "-c", "y")
    assert result.exit_code == 0
    if same < 1:
        assert run(*arguments, "1").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["known", "unknown", "texts.txt"], 'no model "unknown"'),
        (["known", "noise", "missing.txt"], "missing.txt"),
        (["known", "noise", "empty.txt"], "has no text"),
        (["known", "noise", "other.csv"], "has no text in a column `text`"),
        (["known", "noise", "bare.csv"], "has prompts without choices"),
        (["known", "noise", "broken.jsonl"], "is no list of strings"),
        (["known", "noise", "half.jsonl"], "some rows have no choices"),
        (["known", "noise", "program.yaml"], "message"),
        (["known", "noise", "program.yaml", "-c", "x"], "--choice: does not apply to a program"),
        (["known", "noise", "texts.txt", "-i", "rows.csv"], "--input: does not apply"),
        (["known", "noise", "texts.txt", "--norm", "mean"], "--norm: does not apply to texts"),
        (["known", "noise", "prompts.csv", "--context", "x"], "--context: does not apply"),
        (
            ["known", "noise", "texts.txt", "--min-agreement", "1"],
            "--min-agreement: requires choices",
        ),
        (["known", "noise", "texts.txt", "--first-option", "x"], "--first-option: expected"),
    ],
)
def test_wrong_work_is_one_error(
    wrong: Callable[..., str], arguments: list[str], message: str
) -> None:
    assert message in wrong("compare", *arguments)
