"""Rows of .jsonl files: one JSON object a line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from autocog_core.dataset.row_format import Entry, RowFormat, count_items, open_text_file
from autocog_core.errors import InputError, shorten

_BOM = b"\xef\xbb\xbf"


def _nonblank_lines(stream: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, with their line numbers."""
    for number, line in enumerate(stream, 1):
        stripped = (line.removeprefix(_BOM) if number == 1 else line).strip()
        if stripped:
            yield number, stripped


def _read(path: Path) -> Iterator[Entry]:
    with open_text_file(path) as stream:
        for number, line in _nonblank_lines(stream):
            yield _parse_row(line, f"{path}, line {number}")


def _parse_row(line: bytes, where: str) -> Entry:
    try:
        values = _DECODER.decode(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return InputError(f"is not UTF-8: {error.reason}", where=where)
    except RecursionError:
        return InputError("is nested too deeply", where=where)
    except ValueError as error:
        return InputError(f"is not valid JSON: {error}", where=where)
    if isinstance(values, dict):
        return values
    message = f"is not a JSON object but {type(values).__name__}"
    return InputError(message, where=where, hint='write {"column": value, ...} on each line')


def _read_float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{shorten(text)} is too large for a number")
    return value


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = {name for name, _ in pairs}
        for name, _ in pairs:
            if name not in names:
                raise ValueError(f'the key "{shorten(name)}" occurs twice')
            names.remove(name)
    return values


def _count(path: Path, limit: int | None) -> int:
    with open_text_file(path) as stream:
        return count_items(_nonblank_lines(stream), limit)


def _no_columns(path: Path) -> None:
    open_text_file(path).close()


# NaN and infinity are no JSON, but common. They are errors only in columns that a program uses.
_DECODER = json.JSONDecoder(parse_float=_read_float, object_pairs_hook=_read_object)

JSONL = RowFormat(read=_read, count=_count, columns=_no_columns)
