"""The columns of a table of output rows: those of the input, then those of the program's fields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from autocog_core.dataset.column import Column, Probs, ReadCell
from autocog_core.dataset.column_kind import Kind, KindScan, kind_of_values
from autocog_core.dataset.expected import is_right_row
from autocog_core.dataset.marginal_columns import marginal_columns
from autocog_core.dataset.table_fields import TableField
from autocog_core.errors import InputError, did_you_mean, shorten
from autocog_core.types.choice_value import value_text

_NUMBER = Kind("number")
_TEXT = Kind("text")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOptions:
    """Which columns a table has.

    :ivar probs: "best" adds to each choice its probability, "all" those of all its values, "none"
        neither. "winner" adds its probability if it is known, and the bounds of it.
    :ivar prefix: what the names of all columns that are not the input's begin with.
    :ivar id: the column of the input that comes first; None keeps their order.
    :raises InputError: for other `probs`.
    """

    probs: Probs = "best"
    prefix: str = ""
    id: str | None = None

    def __post_init__(self) -> None:
        if self.probs not in get_args(Probs):
            hint = did_you_mean(str(self.probs), get_args(Probs))
            message = f"is not a choice of probabilities: {shorten(repr(self.probs))}"
            raise InputError(message, where="probs", hint=hint)


def result_columns(
    fields: Iterable[TableField],
    options: TableOptions,
    gold_field: str | None = None,
    marginals: Sequence[str] = (),
) -> list[Column]:
    """Return the columns that the program adds.

    :param fields: the fields of the program.
    :param options: which columns the table has.
    :param gold_field: the field that was compared with right answers; None for no comparison.
    :param marginals: the fields whose marginals the rows have.
    :raises InputError: if two of them have one name.
    """
    fields = list(fields)
    columns = [column for field in fields for column in _field_columns(field, options.probs)]
    if gold_field is not None:
        name = f"{gold_field}.right"
        columns.append(Column(name, lambda row: is_right_row(row, gold_field), Kind("boolean")))
    for field in fields:
        if field.name in marginals:
            has_gold = field.name == gold_field
            columns += marginal_columns(field, options.probs, has_gold=has_gold)
    columns.append(Column("exact", lambda row: row.get("exact"), Kind("boolean")))
    columns.append(Column("error", _error_text, _TEXT))
    named = [replace(column, name=options.prefix + column.name) for column in columns]
    names: set[str] = set()
    for column in named:
        if column.name in names:
            raise InputError(
                f'two columns would be called "{shorten(column.name)}"',
                where="table",
                hint="rename a field of the program, or write .jsonl",
            )
        names.add(column.name)
    return named


def input_columns(names: Iterable[str], options: TableOptions) -> list[Column]:
    """Return the columns of the input.

    :param names: their names, in order.
    :param options: which columns the table has.
    :raises InputError: if none of them is the `id` column.
    """
    ordered = list(names)
    if options.id is not None:
        if options.id not in ordered:
            raise InputError(
                f'there is no column "{options.id}"',
                where="id",
                hint=did_you_mean(options.id, ordered),
            )
        ordered.remove(options.id)
        ordered.insert(0, options.id)
    return [Column(name, _input_reader(name)) for name in ordered]


def require_distinct(
    inputs: Sequence[str], results: Iterable[Column], options: TableOptions
) -> None:
    """Check that no result has the name of a column of the input.

    :param inputs: the columns of the input.
    :param results: the columns that the program adds.
    :param options: which columns the table has.
    :raises InputError: naming the columns.
    """
    taken = set(inputs)
    names = [column.name for column in results if column.name in taken]
    if names:
        shown = ", ".join(f'"{shorten(name)}"' for name in names[:5])
        some = f"a column {shown}" if len(names) == 1 else f"columns {shown}"
        prefix = next(
            p for p in _prefixes(options.prefix) if not any(n.startswith(p) for n in taken)
        )
        raise InputError(
            f"the input has {some}, and so have the results",
            where="table",
            hint=f'give the names of the results a prefix, for example "{prefix}"',
        )


def with_kinds(columns: Iterable[Column], rows: Iterable[Mapping[str, Any]]) -> list[Column]:
    """Return the columns with the kinds that their cells have.

    :param columns: the columns.
    :param rows: all output rows.
    """
    columns = list(columns)
    scans = [KindScan(column.has_lists) for column in columns]
    unknown = [
        (scan.add, column.read)
        for scan, column in zip(scans, columns, strict=True)
        if column.kind is None
    ]
    for row in rows if unknown else ():
        for add, read in unknown:
            add(read(row))
    return [
        replace(column, kind=column.kind or scan.kind())
        for scan, column in zip(scans, columns, strict=True)
    ]


def _field_columns(field: TableField, probs: Probs) -> Iterator[Column]:
    kind = None
    if field.is_mapping or field.record == "record":
        kind = Kind("json")
    elif field.record == "part":
        # A choice of a record may be null, and a text may spell a number.
        kind = None
    elif field.values is not None:
        kind = kind_of_values(field.values, is_list=field.is_repeated)
    elif not field.is_choice:
        kind = Kind("text", field.is_repeated)
    share = Kind("json") if field.is_mapping else Kind("number", field.is_repeated)
    name = field.name
    if field.record != "flat":
        yield Column(name, _reader(field, "fields"), kind, field.is_repeated)
    if not field.has_prob or probs == "none":
        return
    yield Column(f"{name}.prob", _reader(field, "probs"), share)
    if field.is_choice and (probs == "winner" or field.has_bounds):
        yield Column(f"{name}.prob_min", _bound_reader(field, 0), share)
        yield Column(f"{name}.prob_max", _bound_reader(field, 1), share)
    if probs in ("best", "winner") or not field.is_choice:
        return
    distribution = _reader(field, "distribution")
    if field.values is None:
        yield Column(f"{name}.probs", distribution, Kind("json"))
        return
    for text in dict.fromkeys(map(value_text, field.values)):
        yield Column(f"{name}.prob.{text}", _share_reader(distribution, text), share)


def _reader(field: TableField, key: str) -> ReadCell:
    name, is_repeated = field.name, field.is_repeated

    def read(row: Mapping[str, Any]) -> Any:
        values = row.get(key)
        value = None if values is None else values.get(name)
        return [value] if is_repeated and value is not None and type(value) is not list else value

    return read


def _bound_reader(field: TableField, position: int) -> ReadCell:
    """Return the reader of one of a share's bounds; in rows whose shares are known, of the share.

    :param field: the field.
    :param position: 0 for the lower bound, 1 for the upper one.
    """
    read_prob = _reader(field, "probs")

    def pick(bounds: Any) -> Any:
        if type(bounds) is dict:
            return {key: pick(entry) for key, entry in bounds.items()}
        if type(bounds) is list and bounds and type(bounds[0]) is list:
            return [pick(entry) for entry in bounds]
        return bounds[position]

    def read(row: Mapping[str, Any]) -> Any:
        bounds = row.get("prob_bounds")
        if bounds is None:
            return read_prob(row)
        if field.name not in bounds:
            return None
        value = pick(bounds[field.name])
        return [value] if field.is_repeated and type(value) is not list else value

    return read


def _share_reader(distribution: ReadCell, text: str) -> ReadCell:
    def read(row: Mapping[str, Any]) -> Any:
        shares = distribution(row)
        if type(shares) is list:
            return [entry.get(text) for entry in shares]
        return None if shares is None else shares.get(text)

    return read


def _input_reader(name: str) -> ReadCell:
    return lambda row: (row.get("input") or {}).get(name)


def _error_text(row: Mapping[str, Any]) -> str | None:
    """Return why a row has no result, or an incomplete one."""
    error = row.get("error")
    if error is not None:
        return ": ".join(part for part in (error["where"], error["message"]) if part)
    stopped_by = row.get("stopped_by")
    return None if stopped_by is None else f"incomplete: the budget of {stopped_by} is spent"


def _prefixes(prefix: str) -> Iterator[str]:
    while True:
        prefix += "model." if not prefix else "_"
        yield prefix
