"""Input rows: all rows of a file in order; a row that cannot be read is an error."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocog_core.dataset.input_rows import column_names, count_rows, read_rows
from autocog_core.errors import InputError

JSONL = b"""\xef\xbb\xbf{"a": 1}

{"a":
[1]
{"a": "\xff"}
{"a": 1e999}
   \r
{"a": "\xe2\x80\xa8", "b": null}\r
{"a": 2}"""
CSV = (
    b"\xef\xbb\xbfa,b\r\n"
    b'1,"x, ""y""\r\nz"\r\n'
    b"\r\n"
    b"2\r\n"
    b"3,4,5\r\n"
    b'"6"6,7\r\n'
    b"\xff,8\r\n"
    b"9,\r\n"
    b'10,"never closed\r\n11,12\r\n'
)


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def read_all(path: Path, **options: Any) -> list[Any]:
    """Return the values of each row, or where its error is."""
    return [
        dict(row.values) if row.error is None else row.error.where.removeprefix(f"{path}, ")
        for row in read_rows(path, **options)
    ]


def test_bad_jsonl_lines_are_errors_with_their_line(tmp_path: Path) -> None:
    path = write(tmp_path, "rows.jsonl", JSONL)
    assert read_all(path) == [
        {"a": 1},
        "line 3",
        "line 4",
        "line 5",
        "line 6",
        {"a": "\u2028", "b": None},
        {"a": 2},
    ]
    assert [row.index for row in read_rows(path)] == list(range(7))


def test_json_nested_too_deeply_is_an_error_of_its_row(tmp_path: Path) -> None:
    path = write(tmp_path, "rows.jsonl", b"[" * 200_000 + b'\n{"a": 1}\n')
    assert read_all(path) == ["line 1", {"a": 1}]


def test_bad_csv_rows_are_errors_with_their_line(tmp_path: Path) -> None:
    path = write(tmp_path, "rows.csv", CSV)
    assert read_all(path) == [
        {"a": "1", "b": 'x, "y"\r\nz'},
        "line 5",
        "line 6",
        "line 7",
        "line 8",
        {"a": "9", "b": None},
        "line 10",
    ]
    assert column_names(path) == ("a", "b")


def test_csv_cells_may_be_long(tmp_path: Path) -> None:
    path = write(tmp_path, "rows.csv", b"a\n" + b"x" * 1_000_000 + b"\n")
    assert [len(row["a"]) for row in read_all(path)] == [1_000_000]


@given(
    st.integers(1, 3).flatmap(
        lambda width: st.lists(st.lists(st.text(), min_size=width, max_size=width), min_size=1)
    )
)
def test_csv_cells_read_back_equal_and_empty_ones_as_none(
    tmp_path: Path, cells: list[list[str]]
) -> None:
    names = [f"column {i}" for i in range(len(cells[0]))]
    text = io.StringIO(newline="")
    csv.writer(text).writerows([names, *cells])
    path = write(tmp_path, "rows.csv", text.getvalue().encode())
    expected = [[cell or None for cell in row] for row in cells]
    assert [list(row.values.values()) for row in read_rows(path)] == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is missing"),
        (b"a,b,a\n1,2,3\n", 'several columns named "a"'),
        (b"a,\xff\n", "is not UTF-8"),
        (b'"a\n', "is not valid CSV"),
    ],
    ids=str,
)
def test_csv_with_a_bad_header_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = write(tmp_path, "rows.csv", content)
    for read in (column_names, count_rows, read_all):
        with pytest.raises(InputError, match=message):
            read(path)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv"])
def test_start_and_limit_select_rows(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, JSONL if name.endswith("jsonl") else CSV)
    all_rows = read_all(path)
    assert count_rows(path) == len(all_rows)
    for start in range(len(all_rows) + 1):
        for limit in range(start, len(all_rows) + 2):
            rows = list(read_rows(path, start, limit))
            assert read_all(path, start=start, limit=limit) == all_rows[start:limit]
            assert [row.index for row in rows] == list(range(start, min(limit, len(all_rows))))
        assert count_rows(path, start) == start


@pytest.mark.parametrize("name", ["nowhere.jsonl", "nowhere.csv", "nowhere.parquet", "rows.txt"])
def test_files_that_cannot_be_read_are_named(tmp_path: Path, name: str) -> None:
    for read in (column_names, count_rows, read_all):
        with pytest.raises(InputError) as caught:
            read(tmp_path / name)
        assert name in str(caught.value)


def test_parquet_values_keep_their_types(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "rows.parquet"
    rows = [{"a": f"text {i}", "b": i, "c": ["x", "y"], "d": None} for i in range(700)]
    parquet.write_table(arrow.Table.from_pylist(rows), path)
    assert read_all(path) == rows
    assert read_all(path, start=690, limit=695) == rows[690:695]
    assert count_rows(path) == 700
    assert count_rows(path, 5) == 5
    assert column_names(path) == ("a", "b", "c", "d")


def test_parquet_text_that_is_not_utf8_is_an_error_of_its_row(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "rows.parquet"
    raw = [b"%d" % i for i in range(600)]
    raw[300] = b"\xff"
    column = arrow.array(raw, arrow.binary()).view(arrow.string())
    parquet.write_table(arrow.table({"a": column}), path)
    expected: list[Any] = [{"a": str(i)} for i in range(600)]
    expected[300] = "row 300"
    assert read_all(path) == expected


def test_a_bad_parquet_file_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = write(tmp_path, "rows.parquet", b"a,b\n1,2\n")
    with pytest.raises(InputError, match="is not a parquet file"):
        read_all(path)


def test_without_pyarrow_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    path = write(tmp_path, "rows.parquet", b"PAR1")
    with pytest.raises(InputError, match="pip install pyarrow"):
        read_all(path)


def test_files_are_not_read_ahead(tmp_path: Path) -> None:
    """A row is yielded before the next one is read: a file may be larger than memory."""
    line = json.dumps({"a": "x" * 1000}).encode() + b"\n"
    path = write(tmp_path, "rows.jsonl", line * 3 + b"\xff" * 10_000_000)
    rows = read_rows(path)
    assert next(rows).values == {"a": "x" * 1000}
