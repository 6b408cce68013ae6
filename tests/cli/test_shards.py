"""`autocog run --shard`, `--concurrency` and `autocog merge`: rows are shared, and run together."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run as Invoke

PROGRAM = """
inputs: {text: text}
actions:
- text: "It is "
- {name: topic, choices: [a, b]}
"""
COMMAND = ("run", "program.yaml", "-m", "known", "-i", "rows.csv")


@pytest.fixture
def files(folder: Path) -> Path:
    (folder / "program.yaml").write_text(PROGRAM)
    (folder / "rows.csv").write_text("text,right\n" + "one,a\ntwo,b\nthree,a\n" * 3)
    return folder


def test_merged_tables_are_that_of_one_run(files: Path, run: Invoke) -> None:
    gold = ("--gold", "right")
    assert run(*COMMAND, *gold, "-o", "whole.csv").exit_code == 0
    for number in (1, 2):
        shard = ("--shard", f"{number}/2")
        result = run(*COMMAND, *gold, *shard, "-o", f"{number}.csv")
        assert f"rows        {6 - number}" in result.stderr
    result = run("merge", "2.csv", "1.csv", "-o", "merged.csv")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "0.6667 of topic: 6 right of 9 answered" in result.stderr
    assert (files / "merged.csv").read_bytes() == (files / "whole.csv").read_bytes()


def test_a_shard_without_rows_is_no_input_without_rows(files: Path, run: Invoke) -> None:
    shard = ("--shard", "11/12")
    for arguments in ((), ("-o", "11.jsonl")):
        result = run(*COMMAND, *shard, *arguments)
        assert result.exit_code == 0
        assert "warning: shard 11/12 of the input has no rows" in result.stderr


def test_rows_of_a_shard_go_to_stdout(files: Path, run: Invoke) -> None:
    result = run(*COMMAND, "--shard", "2/4", "--output-format", "csv")
    assert [line.split(",")[0] for line in result.stdout.splitlines()] == ["text", "two", "three"]
    assert '"rows": 2,' in run(*COMMAND, "--shard", "2/4", "--dry-run", "--json").stdout


@pytest.mark.parametrize("number", ["1", "auto", "3"])
def test_rows_run_together(files: Path, run: Invoke, number: str) -> None:
    assert run(*COMMAND, "--concurrency", number, "-o", "out.csv").exit_code == 0
    assert len((files / "out.csv").read_text().splitlines()) == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*COMMAND, "--shard", "5/4"), "--shard: 5/4: the shards are 1 to 4"),
        ((*COMMAND, "--shard", "half"), '--shard: "half" names no shard; for example --shard 1/4'),
        (("run", "program.yaml", "-m", "known", "--shard", "1/2"), "--shard: requires --input"),
        ((*COMMAND, "--concurrency", "0"), "'0' is neither \"auto\" nor a whole number >= 1"),
        (("merge", "none.jsonl", "-o", "all.jsonl"), "none.jsonl: cannot be read"),
        (("merge", "rows.csv", "-o", "all.jsonl"), "rows.csv: is not the journal of a run"),
        (("merge", "rows.csv", "-o", "-"), "--output: name a file"),
    ],
)
def test_wrong_arguments_are_one_message(
    files: Path, run: Invoke, arguments: tuple[str, ...], message: str
) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
