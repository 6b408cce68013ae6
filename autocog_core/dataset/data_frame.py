"""Data frames of pandas and polars, by what they have in common. Neither need be installed."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from autocog_core.dataset.column_kind import Kind, cell_text
from autocog_core.errors import InputError, shorten

#: The name, kind and cells of a new column.
NewColumn = tuple[str, Kind | None, list[Any]]


class FrameTable(Protocol):
    """A data frame as a table.

    :ivar columns: the names of its columns.
    """

    columns: list[str]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows."""

    def with_columns(self, columns: Sequence[NewColumn]) -> Any:
        """Return a frame of the same kind with more columns."""


def read_frame(frame: Any) -> FrameTable:
    """Return a data frame as a table.

    :param frame: a `pandas.DataFrame` or a `polars.DataFrame`.
    :raises InputError: for anything else, or several columns of one name.
    """
    # A caller with a frame has imported its library: core does not import it.
    pandas, polars = sys.modules.get("pandas"), sys.modules.get("polars")
    table: FrameTable
    if pandas is not None and isinstance(frame, pandas.DataFrame):
        table = _PandasTable(frame, pandas)
    elif polars is not None and isinstance(frame, polars.DataFrame):
        table = _PolarsTable(frame, polars)
    else:
        kind = type(frame)
        package = kind.__module__.partition(".")[0]
        name = kind.__qualname__ if package == "builtins" else f"{package}.{kind.__qualname__}"
        hint = "collect it first" if name == "polars.LazyFrame" else "use run_rows for other rows"
        message = f"expected a DataFrame of pandas or polars, got {name}"
        raise InputError(message, where="frame", hint=hint)
    duplicates = [name for name, count in Counter(table.columns).items() if count > 1]
    if duplicates:
        hint = "rename all but one of them, or leave them out"
        raise InputError(
            f'has several columns called "{shorten(duplicates[0])}"', where="frame", hint=hint
        )
    return table


class _PandasTable:
    def __init__(self, frame: Any, pandas: Any) -> None:
        self._frame = frame
        self._pandas = pandas
        self.columns = [str(name) for name in frame.columns]

    def rows(self) -> Iterator[dict[str, Any]]:
        for values in self._frame.itertuples(index=False, name=None):
            yield dict(zip(self.columns, values, strict=True))

    def with_columns(self, columns: Sequence[NewColumn]) -> Any:
        index = self._frame.index
        new = {
            name: self._pandas.Series(_cells(values, kind), index=index, dtype=self._dtype(kind))
            for name, kind, values in columns
        }
        # One concatenation: many insertions would leave the frame in pieces.
        return self._pandas.concat(
            [self._frame, self._pandas.DataFrame(new, index=index)], axis="columns"
        )

    def _dtype(self, kind: Kind | None) -> Any:
        """Return a type that holds missing values, as pandas itself would use."""
        if kind is None or kind.is_list:
            return object
        if kind.name in ("text", "json"):
            # `str` from pandas 3 on; before it, what pandas reads texts as.
            return "str" if int(self._pandas.__version__.partition(".")[0]) >= 3 else object
        return {"number": "float64", "integer": "Int64", "boolean": "boolean"}[kind.name]


class _PolarsTable:
    def __init__(self, frame: Any, polars: Any) -> None:
        self._frame = frame
        self._polars = polars
        self.columns: list[str] = list(frame.columns)

    def rows(self) -> Iterator[dict[str, Any]]:
        yield from self._frame.iter_rows(named=True)

    def with_columns(self, columns: Sequence[NewColumn]) -> Any:
        series = self._polars.Series
        return self._frame.with_columns(
            [
                series(name, _cells(values, kind), dtype=self._dtype(kind), strict=False)
                for name, kind, values in columns
            ]
        )

    def _dtype(self, kind: Kind | None) -> Any:
        kind = kind or Kind("text")
        dtype = {
            "text": self._polars.String,
            "json": self._polars.String,
            "integer": self._polars.Int64,
            "number": self._polars.Float64,
            "boolean": self._polars.Boolean,
        }[kind.name]
        return self._polars.List(dtype) if kind.is_list else dtype


def _cells(values: Sequence[Any], kind: Kind | None) -> list[Any]:
    """Return the cells of a column; mixed content as JSON text."""
    if kind is not None and kind.name == "json" and not kind.is_list:
        return [None if value is None else cell_text(value) for value in values]
    return list(values)
