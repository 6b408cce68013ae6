"""Inputs of a pipeline: one row, a list of rows, or a stream of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from torch.utils.data import Dataset, IterableDataset
from transformers.utils.chat_template_utils import Chat

from autocog_core import AutocogError, InputError, Prompt, TextPiece, TokenPiece

#: Types of a single row, beside a chat.
ROW_TYPES = (str, Mapping, Prompt, TextPiece, TokenPiece)
#: Prepares a row for the model, in a worker process if there are any.
Prepare = Callable[[Any], Any]


def is_chat(value: Any) -> bool:
    """Return whether `value` is one chat: a list of dicts with "role" and "content"."""
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and len(value) > 0
        and isinstance(value[0], Mapping)
        and {"role", "content"} <= set(value[0])
    )


def is_one_row(inputs: Any) -> bool:
    """Return whether `inputs` is a single row, not several."""
    return isinstance(inputs, ROW_TYPES) or is_chat(inputs)


def as_prompt_row(value: Any, example: str) -> Mapping[str, Any]:
    """Return a row as a dict with a prompt or messages.

    :param value: a prompt, a chat, or a dict.
    :param example: a dict that the pipeline accepts, for the message.
    :raises InputError: for a dict with neither.
    """
    if isinstance(value, Chat):
        return {"messages": value.messages}
    if is_chat(value):
        return {"messages": value}
    if not isinstance(value, Mapping):
        return {"prompt": value}
    if {"prompt", "messages"} & set(value):
        return value
    keys = ", ".join(map(repr, value)) or "nothing"
    raise InputError(
        f"has neither prompt nor messages but {keys}",
        where="prompt",
        hint=f"give {example}, or the column that holds the prompts",
    )


class IndexedRows(Dataset[Any]):
    """Rows that are read by index, and prepared when they are read.

    :param rows: a list, a column or a data set.
    :param prepare: prepares a row.
    """

    def __init__(self, rows: Any, prepare: Prepare) -> None:
        self._rows = rows
        self._prepare = prepare

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row_index: int) -> Any:
        return _prepare_row(self._prepare, self._rows[row_index], row_index)


class StreamedRows(IterableDataset[Any]):
    """Rows that are read one after the other, and prepared when they are read.

    :param rows: an iterable.
    :param prepare: prepares a row.
    """

    def __init__(self, rows: Iterable[Any], prepare: Prepare) -> None:
        self._rows = rows
        self._prepare = prepare

    def __iter__(self) -> Iterator[Any]:
        for row_index, row in enumerate(self._rows):
            yield _prepare_row(self._prepare, row, row_index)


def make_dataset(rows: Any, prepare: Prepare) -> IndexedRows | StreamedRows:
    """Return a torch data set of prepared rows; a row that cannot be prepared is an error object.

    :param rows: a sequence, a data set or another iterable.
    :param prepare: prepares a row.
    :raises InputError: if `rows` cannot be iterated.
    """
    if isinstance(rows, Dataset) and not isinstance(rows, IterableDataset):
        return IndexedRows(rows, prepare)
    if isinstance(rows, Sequence):
        return IndexedRows(rows, prepare)
    if isinstance(rows, Iterable):
        return StreamedRows(rows, prepare)
    raise InputError(
        f"got {type(rows).__name__}",
        where="inputs",
        hint="give a row, a list of rows, a data set or a generator",
    )


def error_at_row(row_index: int, error: AutocogError) -> AutocogError:
    """Return the error, with the row in its `where`."""
    row = f"row {row_index}"
    error.where = f"{row}, {error.where}" if error.where else row
    return error


def _prepare_row(prepare: Prepare, row: Any, row_index: int) -> Any:
    # Return the error: if a worker process raised it, torch would change its type.
    try:
        return prepare(row)
    except AutocogError as error:
        return error_at_row(row_index, error)


def raise_errors(prepared: Iterable[Any]) -> Iterator[Any]:
    """Yield prepared rows; raise the first that is an error."""
    for row in prepared:
        if isinstance(row, AutocogError):
            raise row
        yield row


class Results(Iterator[Any]):
    """An iterator of results, each computed when it is read; its length is the number of rows.

    :param results: the results.
    :param length: the number of rows; None if it is unknown.
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
            raise TypeError("the number of rows is unknown")
        return self._length
