"""Input rows: all rows of a file in order; a row that cannot be read is an error."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocog_core.dataset.csv_rows import reject_duplicates
from autocog_core.dataset.input_rows import column_names, count_rows, read_rows
from autocog_core.dataset.row_source import RowSource
from autocog_core.errors import InputError
from tests.support.operations import growth

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
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_refused_by_its_first_bytes(tmp_path: Path, name: str, encoding: str) -> None:
    path = write(tmp_path, name, '{"a": 1}\n'.encode(encoding))
    for read in (column_names, count_rows, read_all):
        with pytest.raises(InputError, match="is UTF-16, not UTF-8; save the file as UTF-8"):
            read(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A pipe would be empty when the run reads it, after its rows were counted."""
    path = tmp_path / "rows.jsonl"
    os.mkfifo(path)
    for read in (column_names, count_rows, read_all):
        with pytest.raises(InputError, match="is not a file"):
            read(path)


def test_numbers_and_keys_that_would_change_silently_are_errors_of_their_row(
    tmp_path: Path,
) -> None:
    lines = ['{"a": 1e999}', '{"a": 1, "a": 2}', '{"a": {"b": 1, "b": 1}}', '{"a": 1e308}']
    path = write(tmp_path, "rows.jsonl", "\n".join(lines).encode())
    rows = list(read_rows(path))
    assert [row.error is None for row in rows] == [False, False, False, True]
    assert "1e999 is too large" in str(rows[0].error)
    assert 'the key "a" occurs twice' in str(rows[1].error)
    assert 'the key "b" occurs twice' in str(rows[2].error)


def test_csv_columns_without_a_name_are_ignored(tmp_path: Path) -> None:
    """Spreadsheets end lines with commas, and data frames begin them with an index."""
    path = write(tmp_path, "rows.csv", b",a,b, ,\n0,x,y,,\n1,x,y\n2,x\n3,x,y,,,\n4,,y,z,\n")
    assert column_names(path) == ("a", "b")
    assert read_all(path) == [
        {"a": "x", "b": "y"},
        {"a": "x", "b": "y"},
        "line 4",
        "line 5",
        {"a": None, "b": "y"},
    ]


def test_the_header_of_a_wide_csv_file_takes_linear_time(tmp_path: Path) -> None:
    class Name(str):
        """A name that counts its comparisons."""

        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            return str.__eq__(self, str(other))

    def check(size: int) -> Callable[[], None]:
        names = [Name(f"column {i}") for i in range(size)]
        return lambda: reject_duplicates(RowSource.of(tmp_path / "rows.csv"), names)

    assert growth(check, 100, 1000) < 20


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


def test_parquet_numbers_are_those_that_were_written(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "rows.parquet"
    nan = math.nan
    columns = {
        "double": [0.1, nan, None],
        "single": pa.array([0.1, nan, None], pa.float32()),
        "half": pa.array([0.1, nan, None], pa.float16()),
        "list": pa.array([[0.1, nan], None, []], pa.list_(pa.float32())),
        "struct": [{"x": nan, "y": "text"}, None, {"x": 0.5, "y": None}],
        "text": ["NaN", "nan", None],
    }
    parquet.write_table(pa.table(columns), path)
    rows = read_all(path)
    for name in ("double", "single", "half"):
        assert [row[name] for row in rows] == [0.1, None, None], name
    assert [row["list"] for row in rows] == [[0.1, None], None, []]
    assert [row["struct"] for row in rows] == [
        {"x": None, "y": "text"},
        None,
        {"x": 0.5, "y": None},
    ]
    assert [row["text"] for row in rows] == ["NaN", "nan", None]


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
    with pytest.raises(InputError, match=r"pip install .autocog-core\[parquet\]."):
        read_all(path)


def test_files_are_not_read_ahead(tmp_path: Path) -> None:
    """A row is yielded before the next one is read: a file may be larger than memory."""
    line = json.dumps({"a": "x" * 1000}).encode() + b"\n"
    path = write(tmp_path, "rows.jsonl", line * 3 + b"\xff" * 10_000_000)
    rows = read_rows(path)
    assert next(rows).values == {"a": "x" * 1000}
