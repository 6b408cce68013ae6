"""Mutated files of rows, outputs and identities: one clear error, or a right result."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autocog_core import AutocogError, Automaton
from autocog_core.dataset import Gold, Run, check_columns, read_rows, run_file
from autocog_core.dataset.run_identity import identity_path
from tests.support.small_backends import random_model
from tests.support.trials import Trials, tried

PROGRAM = {
    "inputs": {"question": "text", "note": {"type": "any", "default": None}},
    "actions": [{"text": "{{ question }}:"}, {"name": "answer", "choices": [" 1", " True"]}],
}
ROWS = [
    {"question": f'Question {n}, "quoted" \u00e9', "note": [n, 0.5], "label": n % 2 or None}
    for n in range(6)
]
ERROR, RESULT = "one clear error", "every row once"
#: Bytes that mean something to one of the formats.
TOKENS = [
    *(b"\n", b"\r\n", b"\0", b",", b";", b'"', b"'", b"\\", b"{", b"}", b"[", b"]", b":", b"-"),
    *(b"NaN", b"null", b"true", b"1e999", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xff"),
    *(b"row", b'"row"', b"error", b"[" * 100_000, b"9" * 5000, b"PAR1", b"\x7f\xff\xff\xff"),
]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    with random_model(seed=3) as model:
        yield Run(Automaton.from_dict(PROGRAM), model, gold=Gold("answer", "label"))


def mutate(content: bytes, chance: random.Random) -> bytes:
    """Change a few places: a bit, a piece that is gone, doubled, moved, or put in."""
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        start = chance.randrange(len(content) + 1)
        end = min(len(content), start + int(chance.expovariate(1 / 20)))
        piece = content[start:end]
        match chance.randrange(6):
            case 0 if start < len(content):
                changed = content[start] ^ (1 << chance.randrange(8))
                content = content[:start] + bytes([changed]) + content[start + 1 :]
            case 1:
                content = content[:start] + content[end:]
            case 2:
                content = content[:end] + piece + content[end:]
            case 3:
                rest = content[:start] + content[end:]
                place = chance.randrange(len(rest) + 1)
                content = rest[:place] + piece + rest[place:]
            case 4:
                content = content[:start]
            case _:
                content = content[:start] + chance.choice(TOKENS) + content[end:]
    return content


def try_run(run: Run, source: Path, output: Path) -> str:
    """Run a file; return what came. Only errors of autocog are clear ones."""
    try:
        check_columns(source, run.automaton, run.gold)
        expected = sum(1 for _ in read_rows(source))
        summary = run_file(run, source, output)
    except AutocogError as error:
        text = str(error)
        assert error.where, text  # noqa: PT017 - what is raised depends on the seed
        assert len(text) < 2000, text[:3000]
        return ERROR
    rows = [json.loads(line) for line in output.read_bytes().splitlines()]
    assert [row["row"] for row in rows] == list(range(expected))
    assert summary.rows == expected
    assert summary.errors == sum(row["error"] is not None for row in rows)
    return RESULT


def csv_file(path: Path) -> None:
    import csv

    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, ["question", "note", "label"])
        writer.writeheader()
        writer.writerows(ROWS)


def jsonl_file(path: Path) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS), "utf-8")


def parquet_file(path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pa.Table.from_pylist(ROWS), path, write_page_checksum=True)


def try_mutations(
    run: Run, folder: Path, trials: Trials, suffix: str, write: Callable[[Path], None]
) -> None:
    source, output = folder / f"rows{suffix}", folder / "out.jsonl"
    write(source)
    content = source.read_bytes()
    assert try_run(run, source, output) == RESULT
    for seed in trials:
        identity_path(output).unlink(missing_ok=True)
        output.unlink(missing_ok=True)
        source.write_bytes(mutate(content, random.Random(seed)))
        trials.note(try_run(run, source, output))


@tried("Rows in .jsonl, mutated", expect=f"{ERROR} or {RESULT}", normal=25, soak=1000)
def test_mutated_jsonl_files(run: Run, tmp_path: Path, trials: Trials) -> None:
    try_mutations(run, tmp_path, trials, ".jsonl", jsonl_file)


@tried("Rows in .csv, mutated", expect=f"{ERROR} or {RESULT}", normal=25, soak=1000)
def test_mutated_csv_files(run: Run, tmp_path: Path, trials: Trials) -> None:
    try_mutations(run, tmp_path, trials, ".csv", csv_file)


@tried("Rows in .parquet, mutated", expect=f"{ERROR} or {RESULT}", normal=25, soak=1000)
def test_mutated_parquet_files(run: Run, tmp_path: Path, trials: Trials) -> None:
    try_mutations(run, tmp_path, trials, ".parquet", parquet_file)


def resume(run: Run, folder: Path, trials: Trials, change: Callable[[Path, int], None]) -> None:
    """Change the files of a run that was interrupted, and repeat its command."""
    source, output = folder / "rows.jsonl", folder / "out.jsonl"
    jsonl_file(source)
    run_file(run, source, folder / "whole.jsonl")
    whole = (folder / "whole.jsonl").read_bytes()
    run_file(run, source, output, limit=4)
    files = {path: path.read_bytes() for path in (output, identity_path(output))}
    for seed in trials:
        for path, content in files.items():
            path.write_bytes(content)
        change(output, seed)
        before = output.read_bytes()
        outcome = try_run(run, source, output)
        if outcome == ERROR:
            assert output.read_bytes() == before, "a refused file was changed"
        else:
            # Complete lines stay as they are, and the rest is that of an undisturbed run.
            kept = before[: before.rfind(b"\n") + 1]
            assert output.read_bytes().startswith(kept)
            lines = whole.splitlines(keepends=True)[kept.count(b"\n") :]
            assert output.read_bytes()[len(kept) :] == b"".join(lines)
        trials.note(outcome)


@tried("Outputs of interrupted runs, mutated", expect=f"{ERROR} or {RESULT}", normal=25, soak=1000)
def test_mutated_outputs(run: Run, tmp_path: Path, trials: Trials) -> None:
    def change(output: Path, seed: int) -> None:
        output.write_bytes(mutate(output.read_bytes(), random.Random(seed)))

    resume(run, tmp_path, trials, change)


@tried("Files .run.json of runs, mutated", expect=f"{ERROR} or {RESULT}", normal=25, soak=1000)
def test_mutated_identities(run: Run, tmp_path: Path, trials: Trials) -> None:
    def change(output: Path, seed: int) -> None:
        path = identity_path(output)
        path.write_bytes(mutate(path.read_bytes(), random.Random(seed)))

    resume(run, tmp_path, trials, change)


@pytest.mark.parametrize(
    "identity",
    [
        b"[" * 100_000,
        b'{"format": 1, "input": ' + b"[" * 100_000,
        b'{"format": 1, "budget": 1e999}',
    ],
    ids=["brackets", "brackets inside", "number"],
)
def test_damaged_identities_are_one_line(run: Run, tmp_path: Path, identity: Any) -> None:
    source, output = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    jsonl_file(source)
    run_file(run, source, output, limit=1)
    identity_path(output).write_bytes(identity)
    assert try_run(run, source, output) == ERROR
