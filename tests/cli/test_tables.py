"""`autocog run` and `export` write tables: files, standard output, and after an interrupted run."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run as Invoke

PROGRAM = """
inputs: {text: text}
actions:
- text: "It is "
- {name: topic, choices: [a, b]}
"""
ROWS = "id,text\n7,one\n8,\n9,three\n"
COMMAND = ("run", "program.yaml", "-m", "known", "-i", "rows.csv")
ALL = ("--probs", "all", "--prefix", "m.", "--id", "text")


@pytest.fixture
def files(folder: Path) -> Path:
    (folder / "program.yaml").write_text(PROGRAM)
    (folder / "rows.csv").write_text(ROWS)
    return folder


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_one_command_gives_the_table_with_all_probabilities(files: Path, run: Invoke) -> None:
    (files / "rows.csv").write_text(ROWS.replace("8,\n", "8,two\n"))
    result = run(*COMMAND, "-o", "out.csv", *ALL)
    assert (result.exit_code, result.stdout) == (0, "")
    rows = table((files / "out.csv").read_text())
    assert list(rows[0])[:6] == [
        "text",
        "id",
        "m.topic",
        "m.topic.prob",
        "m.topic.prob.a",
        "m.topic.prob.b",
    ]
    assert [(row["text"], row["id"], row["m.topic"]) for row in rows] == [
        ("one", "7", "a"), ("two", "8", "a"), ("three", "9", "a"),
    ]  # fmt: skip
    for row in rows:
        assert float(row["m.topic.prob.a"]) == pytest.approx(0.6 / 0.9, rel=1e-6)
        assert float(row["m.topic.prob.b"]) == pytest.approx(0.3 / 0.9, rel=1e-6)
        assert (row["m.exact"], row["m.error"]) == ("true", "")
    # Other formats from the same rows.
    for name in ("again.csv", "tabs.tsv", "nested.jsonl.gz"):
        options = ALL if "jsonl" not in name else ()
        result = run("export", "out.csv.rows.jsonl", "-o", name, *options)
        assert (result.exit_code, result.stdout, result.stderr) == (0, "", f"{name}: 3 rows\n")
    assert (files / "again.csv").read_bytes() == (files / "out.csv").read_bytes()


@pytest.mark.parametrize("name", ["csv", "tsv"])
def test_stdout_is_the_table_or_the_rows(files: Path, run: Invoke, name: str) -> None:
    assert run(*COMMAND, "-o", f"out.{name}", "--probs", "all").exit_code == 0
    content = (files / f"out.{name}").read_bytes()
    options = ("--output-format", name, "--probs", "all")
    assert run(*COMMAND, "-o", "-", *options).stdout_bytes == content
    assert run(*COMMAND, *options).stdout_bytes == content
    journal = f"out.{name}.rows.jsonl"
    assert run("export", journal, "-o", "-", *options).stdout_bytes == content
    # The name may be another.
    assert run(*COMMAND, "-o", "other.txt", *options).exit_code == 0
    assert (files / "other.txt").read_bytes() == content
    plain = run(*COMMAND, "-o", "-")
    assert plain.stdout == run(*COMMAND).stdout == (files / journal).read_text()
    assert json.loads(plain.stdout.splitlines()[0])["distribution"]["topic"].keys() == {"a", "b"}
    assert run("export", journal, "-o", "-").stdout == plain.stdout


def test_an_ended_run_says_how_to_get_its_table(files: Path, run: Invoke) -> None:
    (files / "rows.csv").write_text("id,text\n7,one\n8,\n9,\n")
    result = run(*COMMAND, "-o", "out.csv", "--max-errors", "1")
    assert result.exit_code == 1
    assert "`autocog export out.csv.rows.jsonl -o out.csv` writes the rows so far" in result.stderr
    assert not (files / "out.csv").exists()
    assert run("export", "out.csv.rows.jsonl", "-o", "out.csv").exit_code == 0
    assert [row["id"] for row in table((files / "out.csv").read_text())] == ["7", "8"]
    result = run(*COMMAND, "-o", "out.csv")
    assert result.exit_code == 0
    assert [row["error"] for row in table((files / "out.csv").read_text())] == [
        "", 'inputs: "text" is missing', 'inputs: "text" is missing',
    ]  # fmt: skip
    # A command that is refused has no rows so far.
    refused = run(*COMMAND, "-o", "out.csv", "--limit", "1", "--gold", "text")
    assert refused.exit_code == 2
    assert "another gold" in refused.stderr
    assert "autocog export" not in refused.stderr
    result = run("export", "out.csv", "-o", "other.csv")
    assert "not the journal of a run; name out.csv.rows.jsonl" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((*COMMAND, "-o", "out.xlsx"), 'out.xlsx: cannot write ".xlsx" files; use one of .jsonl'),
        ((*COMMAND, "-o", "out.parquet.gz"), 'leave out ".gz"'),
        ((*COMMAND, "--output-format", "parquet"), "name a file with -o"),
        ((*COMMAND, "-o", "rows.csv"), "rows.csv: is the input file"),
        ((*COMMAND, "-o", "there.csv"), "there.csv.rows.jsonl, its journal, does not"),
        ((*COMMAND, "-o", "o.jsonl", "--id", "id"), "--id: requires a table"),
        ((*COMMAND, "-o", "o.csv", "--id", "no"), 'there is no column "no"'),
        (("run", "program.yaml", "--probs", "all"), "--probs: requires --input"),
        (("export", "rows.csv", "-o", "o.csv"), "rows.csv: is not the journal of a run; name the"),
        (("export", "no.jsonl", "-o", "o.csv"), "no.jsonl: cannot be read"),
        (("export", "no.jsonl", "-o", "o.txt"), 'o.txt: cannot write ".txt" files'),
    ],
    ids=lambda value: " ".join(value[-3:]) if isinstance(value, tuple) else "",
)
def test_wrong_arguments_are_one_message(
    files: Path, wrong: Callable[..., str], arguments: tuple[str, ...], expected: str
) -> None:
    (files / "there.csv").write_text("mine")
    assert expected in wrong(*arguments)
    assert (files / "there.csv").read_text() == "mine"
    assert (files / "rows.csv").read_text() == ROWS


def test_a_terminal_gets_no_control_characters(files: Path, run: Invoke, monkeypatch: Any) -> None:
    (files / "rows.csv").write_text("text\n\x1b[2J\n")
    output = run(*COMMAND, "--output-format", "csv").stdout
    assert "\x1b[2J" in output

    class Terminal(io.StringIO):
        encoding = "utf-8"

        def isatty(self) -> bool:
            return True

    from autocog_core.cli.output import StdoutBytes

    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    StdoutBytes().write(output.encode())
    assert "\x1b" not in terminal.getvalue()
    assert "\\x1b[2J" in terminal.getvalue()
