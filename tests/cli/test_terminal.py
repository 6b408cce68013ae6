"""What a terminal shows: tables that fit its width, the best of many choices, rows of a run."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.cli.conftest import Run

#: Styles of rich with a color; bold and dim are none.
COLOR = re.compile("\x1b\\[(?:[0-9]+;)*(?:3[0-7]|9[0-7]|38;[0-9;]+)m")
PROGRAM = {
    "inputs": {"question": "text"},
    "actions": [
        {"text": "{{ question }}"},
        {"name": "answer", "choices": [" yes", " no", " a much longer answer"]},
        *({"name": f"more{number}", "choices": [" so", " or not"]} for number in range(5)),
    ],
}
ROWS = [{"question": "Is it?", "right": "yes"}, {"question": "x" * 200}, {"other": "y"}]
RUN = ("run", "program.json", "-m", "noise", "-i", "rows.jsonl")


@pytest.fixture
def files(folder: Path) -> Path:
    (folder / "program.json").write_text(json.dumps(PROGRAM))
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return folder


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_nothing_is_cut(
    terminal: Run, files: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    choices = [" a", " b", " a choice with many words, which takes several lines"]
    options = [part for choice in choices for part in ("-c", choice)]
    for arguments in (["--norm", "per_byte"], ["--top", "3", "--norm", "per_byte"]):
        output = terminal("choose", "It is", *options, *arguments).stdout
        header = output.splitlines()[0].split()
        assert {"choice", "prob", "logprob_per_byte"} <= set(header)
        assert "…" not in output
        if columns == 120:
            assert {"logprob", "mean_logprob", "tokens"} <= set(header)
    rows = terminal(*RUN).stdout
    tree = terminal("run", "program.json", "-m", "noise", "--set", "question=Is it?").stdout
    for text in (output, rows.split("error: ")[0], tree):
        assert max(map(cell_len, text.splitlines())) <= max(columns, 50)
    assert ("█" in tree) == (columns >= 80)
    assert "pruned: 7 (width)" in tree


def test_many_choices_are_the_best_ten_on_a_terminal(terminal: Run, files: Path) -> None:
    choices = [f" {number:02d}" for number in range(30)]
    Path("choices.txt").write_text("\n".join(choices))
    command = ("choose", "It is", "--choices-file", "choices.txt", "-m", "noise")
    scores = json.loads(terminal(*command, "--json").stdout)["scores"]
    probs = {score["choice"]: score["prob"] for score in scores}
    assert len(probs) == 30, "JSON is whole"
    lines = terminal(*command).stdout.splitlines()
    shown = [line.split("'")[1] for line in lines if "' " in line]
    assert shown == sorted(choices, key=lambda choice: -probs[choice])[:10]
    rest = math.fsum(prob for choice, prob in probs.items() if choice not in shown)
    note = f"and 20 more choices, with a probability of {rest:.4f}: --all shows every choice"
    assert note in lines
    whole = terminal(*command, "--all").stdout
    assert [line.split("'")[1] for line in whole.splitlines() if "' " in line] == choices
    assert "more choices" not in whole


def test_a_pipe_gets_all_choices_and_rows_in_json(run: Run, files: Path) -> None:
    Path("choices.txt").write_text("\n".join(f" {number:02d}" for number in range(30)))
    output = run("choose", "It is", "--choices-file", "choices.txt", "-m", "noise").stdout
    assert sum("' " in line for line in output.splitlines()) == 30
    assert "--all" not in output
    assert [json.loads(line)["row"] for line in run(*RUN).stdout.splitlines()] == [0, 1, 2]


def test_rows_are_a_table_with_the_probability_of_each_choice(
    terminal: Run, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    rows = [json.loads(line) for line in terminal(*RUN, "-o", "-").stdout.splitlines()]
    result = terminal(*RUN, "--gold", "answer=right")
    header, *lines = result.stdout.splitlines()
    assert header.split() == ["row", "right", "answer", *(f"more{n}" for n in range(4))]
    assert "no room for more4; -o FILE writes all of it" in result.stderr
    assert len(lines) == 3
    for row, line in zip(rows[:2], lines, strict=False):
        assert line.split()[0] == str(row["row"])
        for name in ("answer", "more0"):
            value, prob = row["fields"][name], row["probs"][name]
            assert f"{value.strip()} {prob:.2f}" in line
    assert lines[0].split()[1] == ("yes" if rows[0]["fields"]["answer"] == "yes" else "no")
    assert lines[1].split()[1] == "-"
    assert lines[2].endswith('error: inputs: "question" is missing')
    for arguments in (["--output-format", "csv"], ["-o", "-"]):
        assert not terminal(*RUN, *arguments).stdout.startswith(" row")


def test_the_first_input_is_shown_where_there_is_room(terminal: Run, files: Path) -> None:
    program = {**PROGRAM, "actions": PROGRAM["actions"][:2]}  # type: ignore[index]
    Path("program.json").write_text(json.dumps(program))
    header, first, second, _ = terminal(*RUN).stdout.splitlines()
    assert header.split() == ["row", "question", "answer"]
    assert "Is it?" in first
    assert "xx…xx" in second
    unnamed = {**PROGRAM, "actions": PROGRAM["actions"][:1]}  # type: ignore[index]
    Path("program.json").write_text(json.dumps(unnamed))
    assert terminal(*RUN).stdout.splitlines()[0].split() == ["row", "question", "logprob"]


def test_colors_can_be_switched_off(
    colored_terminal: Run, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = [
        ["run", "program.json", "-m", "noise", "--set", "question=Is it?"],
        ["choose", "It is", "-c", " a", "-c", " b"],
        ["models"],
    ]
    for command in commands:
        monkeypatch.delenv("NO_COLOR", raising=False)
        assert COLOR.search(colored_terminal(*command).stdout)
        monkeypatch.setenv("NO_COLOR", "1")
        assert not COLOR.search(colored_terminal(*command).stdout)


def test_no_style_needs_green_to_be_told_from_red() -> None:
    package = Path(__file__).parents[2] / "autocog_core"
    for path in (*(package / "cli").glob("*.py"), package / "viz/tree_text.py"):
        assert not re.search(r'"[a-z ]*green[a-z ]*"', path.read_text(encoding="utf-8")), path
