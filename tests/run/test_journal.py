"""The output file: what was written stays, what was torn goes, what is of something else is not
touched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autocog_core.dataset.output_file import (
    forget,
    identity_file,
    locked,
    open_journal,
    write_whole,
)
from autocog_core.errors import InputError

IDENTITY = {"program": "a" * 64, "model": {"name": "m", "fingerprint": "b" * 64}, "budget": None}
RECORDS: list[dict[str, Any]] = [
    {"row": 0, "fields": {"answer": "naïve \U0001f600"}, "error": None},
    {"row": 1, "error": {"what": "half \ud83d of a pair"}},
    {"row": 2, "fields": {"answer": "two\nlines \u2028"}, "error": None},
]


def write(output: Path, records: list[dict[str, Any]], **changes: Any) -> int:
    """Write records; how many there were before."""
    with open_journal(output, {**IDENTITY, **changes}) as journal:
        before = journal.rows
        for record in records:
            journal.write(record)
        assert journal.rows == before + len(records)
    return before


def whole(folder: Path) -> bytes:
    output = folder / "whole.jsonl"
    write(output, RECORDS)
    return output.read_bytes()


def test_a_row_is_one_line_that_reads_as_it_was(tmp_path: Path) -> None:
    lines = whole(tmp_path).split(b"\n")
    assert [json.loads(line) for line in lines[:-1]] == RECORDS
    assert lines[-1] == b""


def test_a_row_is_in_the_file_when_it_is_written(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with open_journal(output, IDENTITY) as journal:
        for number, record in enumerate(RECORDS, 1):
            journal.write(record)
            assert output.read_bytes().count(b"\n") == number


def test_torn_at_any_byte_it_goes_on_to_the_same_file(tmp_path: Path) -> None:
    content = whole(tmp_path)
    output = tmp_path / "out.jsonl"
    write(output, [])
    for size in range(len(content) + 1):
        output.write_bytes(content[:size])
        with open_journal(output, IDENTITY) as journal:
            assert journal.rows == content[:size].count(b"\n")
            for record in RECORDS[journal.rows :]:
                journal.write(record)
        assert output.read_bytes() == content, size


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"program": "c" * 64}, "another program (was aaaaaaaaaaaa..., is cccccccccccc...)"),
        (
            {"model": {"name": "m", "fingerprint": "d" * 64}},
            "another model (fingerprint was bbbbbbbbbbbb..., is dddddddddddd...)",
        ),
        ({"budget": {"tokens": 5}}, "another budget (was none, is 5)"),
        ({"seed": 3}, "another seed (was none, is 3)"),
    ],
    ids=["program", "model", "budget", "new"],
)
def test_what_differs_is_refused_by_name_and_nothing_is_touched(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    output = tmp_path / "out.jsonl"
    write(output, RECORDS[:2])
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError) as caught:
        write(output, [], **changes)
    assert told in str(caught.value)
    assert "--overwrite" in str(caught.value)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_all_that_differs_is_told_at_once(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    write(output, RECORDS)
    with pytest.raises(InputError, match=r"another program .* and another budget"):
        write(output, [], program="x", budget=3)


@pytest.mark.parametrize("beside", [None, b"", b"[]", b'{"format": 99}'], ids=str)
def test_rows_of_which_nothing_says_what_made_them_are_refused(
    tmp_path: Path, beside: bytes | None
) -> None:
    output = tmp_path / "out.jsonl"
    output.write_bytes(b'{"row": 0}\n')
    if beside is not None:
        identity_file(output).write_bytes(beside)
    with pytest.raises(InputError, match="--overwrite"):
        write(output, [])
    assert output.read_bytes() == b'{"row": 0}\n'


@pytest.mark.parametrize(
    ("line", "changed"), [(1, b'{"row": 0}'), (1, b"{"), (0, b""), (2, b"null"), (2, b"[2]")]
)
def test_rows_that_were_changed_are_refused_with_their_line(
    tmp_path: Path, line: int, changed: bytes
) -> None:
    output = tmp_path / "out.jsonl"
    write(output, RECORDS)
    lines = output.read_bytes().split(b"\n")
    lines[line] = changed
    output.write_bytes(b"\n".join(lines))
    with pytest.raises(InputError, match=rf"line {line + 1}: is not row {line}"):
        write(output, [])


def test_killed_before_the_first_row_it_begins(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    write(output, [])
    assert output.read_bytes() == b""
    # Nothing is lost: not even another identity is in the way.
    assert write(output, RECORDS, program="other") == 0
    assert write(output, [], program="other") == 3


def test_only_one_run_at_a_time_writes_a_file(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with (
        locked(output),
        pytest.raises(InputError, match="another run is writing it"),
        locked(output),
    ):
        raise AssertionError("two locks")
    with locked(output), locked(tmp_path / "other.jsonl"):
        pass


def test_places_where_nothing_can_be_written_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no file"), locked(tmp_path):
        pass
    with pytest.raises(InputError, match="there is no such folder"), locked(tmp_path / "a" / "b"):
        pass


def test_what_is_forgotten_begins_anew(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    write(output, RECORDS)
    forget(output)
    assert not any(tmp_path.iterdir())
    forget(output)
    assert write(output, RECORDS[:1], program="other") == 0


def test_a_full_disk_is_an_error_that_says_how_to_go_on() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no device that is always full")
    from autocog_core.dataset.output_file import Journal

    with full.open("wb", buffering=0) as stream, pytest.raises(InputError, match="same command"):
        Journal(stream, 0).write(RECORDS[0])


def test_a_file_is_written_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "tree.json"
    write_whole(path, "old")
    (tmp_path / "tree.json.part").write_text("what a killed run has left")
    write_whole(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
