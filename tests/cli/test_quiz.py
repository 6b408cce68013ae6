"""The quiz of `examples/`: valid questions, and the numbers of the API."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest
from rich.cells import cell_len

import autocog_core as autocog
from tests.support.small_backends import forget

QUIZ = Path(__file__).parents[2] / "examples" / "quiz"
ROWS = [json.loads(line) for line in (QUIZ / "questions.jsonl").read_text("utf-8").splitlines()]


class Done(NamedTuple):
    """The result of a run of the quiz."""

    code: int
    stdout: str
    stderr: str


Quiz = Callable[..., Done]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The example's script as a module."""
    spec = spec_from_file_location("quiz_example", QUIZ / "quiz.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    # Its dataclasses look for their module there.
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        forget(spec.name)
    return module


@pytest.fixture
def quiz(
    script: ModuleType,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Quiz:
    """Run it in this process, in `folder`; any other exception than its own exit is raised."""

    def run(*arguments: str, columns: int = 80) -> Done:
        monkeypatch.setenv("COLUMNS", str(columns))
        try:
            code = script.main(["--config", "autocog.toml", *arguments])
        except SystemExit as end:
            code = end.code
        return Done(code, *capsys.readouterr())

    return run


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


def test_accuracy_and_tokens_are_those_of_the_api(folder: Path) -> None:
    right, evaluated, picks = 0, 0, []
    with autocog.load("noise") as model:
        program = autocog.Automaton.from_file(QUIZ / "quiz.yaml")
        for row in ROWS[:12]:
            tree = program.run(model, row)
            pick = str(tree.fields["answer"])
            right += pick == " " + row["right"]
            evaluated += tree.stats["tokens_evaluated"]
            picks.append((pick.strip(), f"{tree.best().end.prob:.2f}"))
    assert 0 < right < 12, "all right or all wrong would prove nothing"

    arguments = ["--config", "autocog.toml", "--model", "noise", "--limit", "12"]
    done = subprocess.run(
        [sys.executable, str(QUIZ / "quiz.py"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(
        rf"accuracy +{right / 12:.1%} \({right} of 12\); chance is 25\.0%", done.stdout
    )
    assert f"{evaluated} evaluated, {evaluated / 12:.1f} a question" in done.stdout
    assert re.search(r"time +\d+\.\d+ s a question", done.stdout)
    assert re.search(r"model +noise \(backend random\)", done.stdout)
    rows = [line for line in done.stdout.splitlines() if re.match(r" *\d+ ", line)]
    assert len(rows) == 12
    assert sum(line.rstrip().endswith(" ok") for line in rows) == right
    for line, (pick, prob) in zip(rows, picks, strict=True):
        assert pick in line
        assert prob in line
    assert done.stdout.count("right: ") == 12 - right


def test_the_wait_is_announced_on_stderr_and_the_table_stays_plain(quiz: Quiz) -> None:
    done = quiz("--model", "noise", "--limit", "2")
    assert done.code == 0
    assert "loading" in done.stderr
    assert "loading" not in done.stdout
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize("columns", [50, 80, 120])
def test_output_fits_the_width(quiz: Quiz, columns: int) -> None:
    lines = quiz("--model", "noise", "--limit", "6", columns=columns).stdout.splitlines()
    assert max(map(cell_len, lines)) <= columns
    assert any(line.rstrip().endswith((" ok", " X")) for line in lines)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--model", "nois"], 'did you mean "noise"?'),
        (["--questions", "nowhere"], "nowhere"),
        (["--questions", "bad.jsonl"], "bad.jsonl:2"),
        (["--limit", "0"], "--limit"),
    ],
    ids=str,
)
def test_wrong_arguments_are_exit_code_2_without_a_traceback(
    quiz: Quiz, folder: Path, arguments: list[str], expected: str
) -> None:
    (folder / "bad.jsonl").write_text(
        '{"question": "?", "choices": ["a", "b"], "answer": 0}\n'
        '{"question": "?", "choices": ["a", "b"], "answer": 2}\n',
        encoding="utf-8",
    )
    done = quiz(*arguments)
    assert done.code == 2
    assert done.stdout == ""
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
