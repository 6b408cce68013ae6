"""Output files: complete rows stay, an incomplete row goes, a file of another run is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autocog_core.dataset.file_writing import write_file
from autocog_core.dataset.output_file import (
    lock_output,
    open_output,
    remove_output,
    resolve_output,
)
from autocog_core.dataset.run_identity import identity_path
from autocog_core.errors import InputError

IDENTITY = {"program": "a" * 64, "model": {"name": "m", "fingerprint": "b" * 64}, "budget": None}
NUMBERS = {
    "probs": {"answer": 0.5},
    "distribution": {"answer": {"a": 0.5, "b": 0.5}},
    "exact": True,
    "tokens_evaluated": 3,
    "stopped_by": None,
    "error": None,
}
ROWS: list[dict[str, Any]] = [
    {"row": 0, "fields": {"answer": "naïve \U0001f600"}, **NUMBERS},
    {"row": 1, "error": {"message": "half \ud83d of a pair", "where": "", "hint": ""}},
    {"row": 2, "fields": {"answer": "two\nlines \u2028"}, **NUMBERS},
]


def write(output: Path, rows: list[dict[str, Any]], **changes: Any) -> int:
    """Write rows; return how many there were before."""
    with open_output(output, {**IDENTITY, **changes}) as file:
        before = file.rows
        for row in rows:
            file.write(row)
        assert file.rows == before + len(rows)
    return before


def complete_file(folder: Path) -> bytes:
    output = folder / "complete.jsonl"
    write(output, ROWS)
    return output.read_bytes()


def test_a_row_is_one_line_that_reads_back_equal(tmp_path: Path) -> None:
    lines = complete_file(tmp_path).split(b"\n")
    assert [json.loads(line) for line in lines[:-1]] == ROWS
    assert lines[-1] == b""


def test_a_row_is_in_the_file_when_write_returns(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with open_output(output, IDENTITY) as file:
        for number, row in enumerate(ROWS, 1):
            file.write(row)
            assert output.read_bytes().count(b"\n") == number


def test_a_file_cut_at_any_byte_is_completed_to_the_same_bytes(tmp_path: Path) -> None:
    content = complete_file(tmp_path)
    output = tmp_path / "out.jsonl"
    write(output, [])
    for size in range(len(content) + 1):
        output.write_bytes(content[:size])
        with open_output(output, IDENTITY) as file:
            assert file.rows == content[:size].count(b"\n")
            for row in ROWS[file.rows :]:
                file.write(row)
        assert output.read_bytes() == content, size


@pytest.mark.parametrize(
    ("changes", "message"),
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
def test_another_identity_is_refused_by_name_and_no_file_changes(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    output = tmp_path / "out.jsonl"
    write(output, ROWS[:2])
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError) as caught:
        write(output, [], **changes)
    assert message in str(caught.value)
    assert "--overwrite" in str(caught.value)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_all_differences_are_in_one_message(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    write(output, ROWS)
    with pytest.raises(InputError, match=r"another program .* and another budget"):
        write(output, [], program="x", budget=3)


@pytest.mark.parametrize("identity", [None, b"", b"[]", b'{"format": 99}'], ids=str)
def test_rows_without_a_readable_identity_are_refused(
    tmp_path: Path, identity: bytes | None
) -> None:
    output = tmp_path / "out.jsonl"
    output.write_bytes(b'{"row": 0}\n')
    if identity is not None:
        identity_path(output).write_bytes(identity)
    with pytest.raises(InputError, match="--overwrite"):
        write(output, [])
    assert output.read_bytes() == b'{"row": 0}\n'


@pytest.mark.parametrize(
    ("line", "changed"), [(1, b'{"row": 0}'), (1, b"{"), (0, b""), (2, b"null"), (2, b"[2]")]
)
def test_changed_rows_are_refused_with_their_line(
    tmp_path: Path, line: int, changed: bytes
) -> None:
    output = tmp_path / "out.jsonl"
    write(output, ROWS)
    lines = output.read_bytes().split(b"\n")
    lines[line] = changed
    output.write_bytes(b"\n".join(lines))
    with pytest.raises(InputError, match=rf"line {line + 1}: is not row {line}"):
        write(output, [])


def test_a_file_without_rows_accepts_any_identity(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    write(output, [])
    assert output.read_bytes() == b""
    assert write(output, ROWS, program="other") == 0
    assert write(output, [], program="other") == 3


def test_an_output_file_has_one_writer(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with (
        lock_output(output),
        pytest.raises(InputError, match="another run is writing it"),
        lock_output(output),
    ):
        raise AssertionError("two locks")
    with lock_output(output), lock_output(tmp_path / "other.jsonl"):
        pass


def test_paths_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    with pytest.raises(InputError, match="is not a file"):
        resolve_output(tmp_path, source)
    with pytest.raises(InputError, match="there is no such folder"):
        resolve_output(tmp_path / "a" / "b", source)
    with pytest.raises(InputError, match="name too long"):
        resolve_output(tmp_path / ("x" * 256), source)
    # The names of the files beside it are longer.
    output = resolve_output(tmp_path / ("x" * 252), source)
    with pytest.raises(InputError, match="name too long"), lock_output(output):
        pass


def test_a_removed_output_accepts_any_identity(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    write(output, ROWS)
    remove_output(output)
    assert not any(tmp_path.iterdir())
    remove_output(output)
    assert write(output, ROWS[:1], program="other") == 0


def test_a_full_disk_is_an_error_that_says_how_to_continue() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")
    from autocog_core.dataset.output_file import OutputFile

    with full.open("wb", buffering=0) as stream, pytest.raises(InputError, match="same command"):
        OutputFile(stream, 0).write(ROWS[0])


def test_a_file_is_replaced_atomically(tmp_path: Path) -> None:
    path = tmp_path / "tree.json"
    write_file(path, "old")
    (tmp_path / "tree.json.part").write_text("left by a killed run")
    write_file(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
