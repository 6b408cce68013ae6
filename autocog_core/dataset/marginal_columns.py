"""The columns of a table for the marginals of a field."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from autocog_core.dataset.column import Column, Probs, ReadCell
from autocog_core.dataset.column_kind import Kind, kind_of_values
from autocog_core.dataset.expected import is_right_marginal
from autocog_core.dataset.table_fields import TableField
from autocog_core.types.choice_value import value_text

_NUMBER = Kind("number")
_JSON = Kind("json")


def marginal_columns(field: TableField, probs: Probs, *, has_gold: bool) -> Iterator[Column]:
    """Yield the columns of the marginal of a field.

    :param field: the field.
    :param probs: as in `TableOptions`.
    :param has_gold: whether the field is compared with right answers.
    """
    name = f"{field.name}.marginal"
    if field.is_mapping:
        yield Column(name, _reader(field.name, lambda marginal: marginal), _JSON)
        return
    kind = None if field.has_prob else Kind("text", field.is_repeated)
    if field.record in ("record", "flat"):
        kind = _JSON
    elif field.values is not None:
        kind = kind_of_values(field.values, is_list=field.is_repeated)
    yield Column(name, _reader(field.name, _best("value")), kind, field.is_repeated)
    if probs != "none":
        yield Column(f"{name}.prob", _reader(field.name, _best("prob")), _NUMBER)
        yield Column(f"{name}.error", _reader(field.name, _best("standard_error")), _NUMBER)
        yield Column(
            f"{name}.unexplored", _reader(field.name, lambda data: data["unexplored"]), _NUMBER
        )
    if probs == "all":
        yield from _value_columns(field, name)
    if has_gold:
        yield Column(
            f"{name}.right", lambda row: is_right_marginal(row, field.name), Kind("boolean")
        )


def _value_columns(field: TableField, name: str) -> Iterator[Column]:
    if field.values is None or field.is_repeated:
        yield Column(f"{name}.probs", _reader(field.name, _probs), _JSON)
        return
    for text in dict.fromkeys(map(value_text, field.values)):
        read = _reader(field.name, lambda data, text=text: _probs(data).get(text))
        yield Column(f"{name}.prob.{text}", read, _NUMBER)


def _reader(field: str, read: Any) -> ReadCell:
    def read_row(row: Mapping[str, Any]) -> Any:
        marginal = row.get("marginals", {}).get(field)
        return None if marginal is None else read(marginal)

    return read_row


def _best(key: str) -> Any:
    def read(marginal: Mapping[str, Any]) -> Any:
        values = marginal["values"]
        return values[0].get(key) if values else None

    return read


def _probs(marginal: Mapping[str, Any]) -> dict[str, float]:
    """Return the probability of each value by its text; a list, and no value, is JSON."""
    return {_text(entry["value"]): entry["prob"] for entry in marginal["values"]}


def _text(value: Any) -> str:
    if value is None or isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    return value_text(value)
