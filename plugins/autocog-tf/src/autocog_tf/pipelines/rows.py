"""What users hand to a pipeline: one row, a list of rows, or rows that come one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from torch.utils.data import Dataset, IterableDataset

from autocog_core import AutocogError, InputError, Prompt, TextPiece, TokenPiece

#: What is one row, beside a chat.
SINGLE = (str, Mapping, Prompt, TextPiece, TokenPiece)
#: Makes of a row what is computed with, in a worker process where there are such.
Prepare = Callable[[Any], Any]


def is_chat(value: Any) -> bool:
    """Whether it is one chat: a list of messages, each a dict with role and content."""
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and len(value) > 0
        and isinstance(value[0], Mapping)
        and {"role", "content"} <= set(value[0])
    )


def is_one_row(inputs: Any) -> bool:
    """Whether it is a single row, as against several."""
    return isinstance(inputs, SINGLE) or is_chat(inputs)


class NumberedRows(Dataset[Any]):
    """Rows that are asked for by their number.

    :param rows: a list, a column or a data set.
    """

    def __init__(self, rows: Any, prepare: Prepare) -> None:
        self._rows = rows
        self._prepare = prepare

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> Any:
        return _prepared(self._prepare, self._rows[number], number)


class StreamedRows(IterableDataset[Any]):
    """Rows that come one by one, and are taken only when they are needed."""

    def __init__(self, rows: Iterable[Any], prepare: Prepare) -> None:
        self._rows = rows
        self._prepare = prepare

    def __iter__(self) -> Iterator[Any]:
        for number, row in enumerate(self._rows):
            yield _prepared(self._prepare, row, number)


def data_set(rows: Any, prepare: Prepare) -> NumberedRows | StreamedRows:
    """Rows as torch loads them: what they become, or the error that they meet.

    :raises InputError: for what holds no rows.
    """
    if isinstance(rows, Dataset) and not isinstance(rows, IterableDataset):
        return NumberedRows(rows, prepare)
    if isinstance(rows, Sequence):
        return NumberedRows(rows, prepare)
    if isinstance(rows, Iterable):
        return StreamedRows(rows, prepare)
    raise InputError(
        f"got {type(rows).__name__}",
        where="inputs",
        hint="give a row, a list of rows, a data set or a generator",
    )


def error_at_row(number: int, error: AutocogError) -> AutocogError:
    """The error, saying at which row."""
    row = f"row {number}"
    error.where = f"{row}, {error.where}" if error.where else row
    return error


def _prepared(prepare: Prepare, row: Any, number: int) -> Any:
    # Handed on: a worker process would make another error of what it raises.
    try:
        return prepare(row)
    except AutocogError as error:
        return error_at_row(number, error)


def without_errors(prepared: Iterable[Any]) -> Iterator[Any]:
    """Prepared rows, up to the first that met an error, which is raised."""
    for row in prepared:
        if isinstance(row, AutocogError):
            raise row
        yield row


class Results(Iterator[Any]):
    """What comes of each row, computed when it is asked for; its length is the number of rows.

    :param length: None where nobody knows it.
    """

    def __init__(self, results: Iterator[Any], length: int | None) -> None:
        self._results = results
        self._length = length

    def __iter__(self) -> Results:
        return self

    def __next__(self) -> Any:
        return next(self._results)

    def __len__(self) -> int:
        if self._length is None:
            raise TypeError("nobody knows how many rows will come")
        return self._length
