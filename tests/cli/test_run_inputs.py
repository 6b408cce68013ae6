"""What `autocog run` reads: standard input, files of any format, and values for all rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import autocog_core as autocog
from autocog_core import Automaton
from autocog_core.dataset import Run, run_file
from tests.cli.conftest import Run as Invoke
from tests.support.row_files import write_rows

PROGRAM = """
inputs:
  question: text
  examples: {type: list, default: []}
  labels: {type: list, default: [a, b]}
  note: {type: any, default: none}
actions:
- text: "{% for one in examples %}{{ one.q }}: {{ one.a }}\\n{% endfor %}{{ note }} {{ question }}:"
- {name: answer, choices: {each: labels, text: " {{ item }}"}}
"""
ROWS = [{"question": f"Question {n}", "gold": "ab"[n % 2]} for n in range(5)]
COMMAND = ("run", "program.yaml", "-m", "noise", "-q")


@pytest.fixture
def files(folder: Path) -> Path:
    """A folder with a program, and rows for it."""
    (folder / "program.yaml").write_text(PROGRAM, encoding="utf-8")
    write_rows(folder, ".jsonl", ROWS)
    return folder


def api(folder: Path, **values: object) -> str:
    """The output as the API writes it."""
    with autocog.load("noise") as model:
        run = Run(Automaton.from_file(folder / "program.yaml"), model, values=values)
        run_file(run, folder / "rows.jsonl", folder / "api.jsonl", overwrite=True)
    return (folder / "api.jsonl").read_text()


@pytest.mark.parametrize("suffix", [".tsv", ".json.gz", ".parquet.zst"])
def test_rows_come_from_standard_input(files: Path, run: Invoke, suffix: str) -> None:
    content = write_rows(files, suffix, ROWS, "other").read_bytes()
    expected = api(files)
    result = run(*COMMAND, "-i", "-", stdin=content)
    assert (result.exit_code, result.stdout) == (0, expected)
    format_ = suffix.split(".")[1]
    # The same content resumes, and other content is refused.
    command = (*COMMAND, "-i", "-", "--input-format", format_, "-o", "out.jsonl")
    assert run(*command, "--limit", "2", stdin=content).exit_code == 0
    assert run(*command, stdin=content).exit_code == 0
    assert (files / "out.jsonl").read_text() == expected
    other = write_rows(files, suffix, ROWS[:-1], "fewer").read_bytes()
    refused = run(*command, stdin=other)
    assert refused.exit_code == 2
    assert "another input" in refused.stderr


def test_errors_name_standard_input(files: Path, run: Invoke, wrong: Callable[..., str]) -> None:
    assert "stdin: there is no column" in wrong(*COMMAND, "-i", "-", stdin="q\n1\n")
    result = run(*COMMAND, "-i", "-", stdin='{"question": "One"}\n{"question": \n')
    assert json.loads(result.stdout.splitlines()[1])["error"]["where"] == "stdin, line 2"
    assert run(*COMMAND, "-i", "-", stdin="").stderr == "warning: the input has no rows\n"


def test_the_format_of_a_file_can_be_given(files: Path, run: Invoke) -> None:
    (files / "rows.jsonl").rename(files / "rows.txt")
    result = run(*COMMAND, "-i", "rows.txt", "--input-format", "jsonl")
    (files / "rows.txt").rename(files / "rows.jsonl")
    assert result.stdout == api(files)


def test_values_for_all_rows_are_part_of_the_run(
    files: Path, run: Invoke, wrong: Callable[..., str]
) -> None:
    examples = [{"q": f"Sample {n}", "a": "ab"[n % 2]} for n in range(9)]
    for suffix in (".json", ".csv", ".parquet", ".jsonl.gz"):
        write_rows(files, suffix, examples, "examples")
    lines = [f"- {{q: {row['q']}, a: {row['a']}}}\n" for row in examples]
    (files / "examples.yaml").write_text("".join(lines))
    (files / "labels.txt").write_text("x y\nz\n")
    expected = api(files, examples=examples, labels=["x y", "z"])
    for suffix in (".json", ".yaml", ".csv", ".parquet", ".jsonl.gz"):
        given = ("--set", f"examples=@examples{suffix}", "--set", "labels=@labels.txt")
        # The values count, not the files from which they come.
        result = run(*COMMAND, "-i", "rows.jsonl", "-o", "out.jsonl", *given, "--limit", "3")
        assert result.exit_code == 0, result.output
    result = run(*COMMAND, "-i", "rows.jsonl", "-o", "out.jsonl", *given)
    assert (files / "out.jsonl").read_text() == expected
    refused = wrong(*COMMAND, "-i", "rows.jsonl", "-o", "out.jsonl", *given[2:])
    assert "another values (examples was" in refused


@pytest.mark.parametrize(
    ("value", "asked"),
    [
        ("note=@note.txt", "[1, 2]"),
        ("note=@note.json", '{"a": 1}'),
        ("note=@note", "7"),
        ("note=@@home", "@home"),
        ("question=@note.json", '{"a": 1}'),
    ],
)
def test_files_are_read_as_their_input_and_suffix_say(
    files: Path, run: Invoke, value: str, asked: str
) -> None:
    (files / "note.txt").write_text("[1, 2]\n")
    (files / "note.json").write_text('{"a": 1}\n')
    (files / "note").write_text("7")
    program = PROGRAM.replace("{{ note }}", "{{ note | tojson if note is mapping else note }}")
    (files / "program.yaml").write_text(program)
    others = () if value.startswith("question") else ("--set", "question=One")
    result = run(*COMMAND, "--json", "--set", value, *others)
    assert result.exit_code == 0, result.output
    assert asked in json.loads(result.stdout)["nodes"][0]["text"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("examples=@bad.yaml", "bad.yaml:1: is not valid YAML"),
        ("examples=@bad.jsonl", "bad.jsonl, line 1: is not valid JSON"),
        ("examples=@nowhere.csv", "nowhere.csv: cannot be read"),
        ("examples=@object.json", '"examples" is not a list: a dict'),
        ("question=all", 'rows.jsonl: has a column "question", which is also set for all rows'),
    ],
)
def test_wrong_values_are_one_message(
    files: Path, wrong: Callable[..., str], value: str, message: str
) -> None:
    (files / "bad.yaml").write_text("[")
    (files / "bad.jsonl").write_text("[\n")
    (files / "object.json").write_text("{}")
    assert message in wrong(*COMMAND, "-i", "rows.jsonl", "--set", value)


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".json"])
def test_a_file_that_is_cut_off_is_an_error_before_the_model_is_loaded(
    files: Path, wrong: Callable[..., str], suffix: str
) -> None:
    source = write_rows(files, suffix, ROWS, "cut")
    source.write_bytes(source.read_bytes()[:-9])
    message = wrong("run", "program.yaml", "-m", "keyed", "-i", f"cut{suffix}")
    assert f"cut{suffix}: " in message
    assert "is damaged" in message or "not valid JSON from there on" in message


def test_a_value_that_only_some_rows_have_is_an_error_before_the_model_is_loaded(
    files: Path, wrong: Callable[..., str]
) -> None:
    write_rows(files, ".jsonl", [*ROWS, {"question": "last", "note": None}])
    message = wrong("run", "program.yaml", "-m", "keyed", "-i", "rows.jsonl", "--set", "note=1")
    assert 'has a column "note", which is also set for all rows; leave out the value' in message
