"""Rows of .jsonl files: one JSON object a line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from typing import Any

from autocog_core.dataset.row_format import Entry, RowFormat, count_items, open_text_file
from autocog_core.dataset.row_source import RowSource
from autocog_core.errors import InputError, shorten

_BOM = b"\xef\xbb\xbf"


def _nonblank_lines(stream: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, with their line numbers."""
    for number, line in enumerate(stream, 1):
        stripped = (line.removeprefix(_BOM) if number == 1 else line).strip()
        if stripped:
            yield number, stripped


def _read(source: RowSource) -> Iterator[Entry]:
    hint = 'write {"column": value, ...} on each line'
    with open_text_file(source) as stream:
        for number, line in _nonblank_lines(stream):
            yield parse_row(line, f"{source.name}, line {number}", hint)


def parse_row(text: bytes, where: str, hint: str) -> Entry:
    """Return the row that a JSON object stands for, or why it stands for none.

    :param text: the JSON text.
    :param where: the place of the row, for the error.
    :param hint: how to write a row.
    """
    try:
        values = _DECODER.decode(text.decode("utf-8"))
    except UnicodeDecodeError as error:
        return InputError(
            f"is not UTF-8: {error.reason}", where=where, hint="save the file as UTF-8"
        )
    except RecursionError:
        return InputError("is nested too deeply", where=where)
    except ValueError as error:
        return InputError(f"is not valid JSON: {error}", where=where)
    if isinstance(values, dict):
        return values
    message = f"is not a JSON object but {type(values).__name__}"
    return InputError(message, where=where, hint=hint)


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


def _count(source: RowSource, limit: int | None) -> int:
    with open_text_file(source) as stream:
        return count_items(_nonblank_lines(stream), limit)


def _no_columns(source: RowSource) -> None:
    open_text_file(source).close()


# NaN and infinity are no JSON, but common. They are errors only in columns that a program uses.
_DECODER = json.JSONDecoder(parse_float=_read_float, object_pairs_hook=_read_object)

JSONL = RowFormat(read=_read, count=_count, columns=_no_columns)
