"""The list that a group repeats its questions for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from autocog_core.automaton.templates.field_values import FieldUses
from autocog_core.automaton.templates.template import compile_expression
from autocog_core.automaton.templates.work_limit import WorkLimit, type_label
from autocog_core.errors import InputError, shorten

#: Items of a list: all of them are asked side by side.
MAX_ITEMS = 10_000


@dataclass(frozen=True)
class ForEach:
    """The list that a group repeats its questions for.

    :ivar items: an expression over the inputs for a list: "labels".
    :ivar name: the name of the item in the templates of the questions.
    :ivar key: an expression over the item for its name in the result: "label.name"; None for the
        item itself, which is then a text, a number or a boolean.
    """

    items: str
    name: str
    key: str | None = None

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of the inputs that it uses.

        :raises InputError: for an expression that is not valid, or that uses `fields`.
        """
        names: frozenset[str] = frozenset()
        for expression in filter(None, (self.items, self.key)):
            compiled = compile_expression(expression)
            if compiled.fields.names:
                raise InputError(
                    f'"{shorten(expression)}" uses fields: the items come from the inputs',
                    where="for_each",
                )
            names |= compiled.names
        return names - {self.name} if self.key is not None else names

    @cached_property
    def fields(self) -> FieldUses:
        """The fields that it uses, which are none."""
        return FieldUses(frozenset(), frozenset())

    @cached_property
    def words(self) -> int:
        """The number of its words and signs, which limits the cost of checking it."""
        expressions = [self.items] if self.key is None else [self.items, self.key]
        return sum(compile_expression(expression).words for expression in expressions)

    def render(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the items by their names in the result, in order.

        :param values: the values of the inputs, by name.
        :raises InputError: if the value of `items` is not a list, if an item has no name, or if two
            have the same.
        """
        limit = WorkLimit()
        items = compile_expression(self.items).evaluate(values, limit)
        if not isinstance(items, list | tuple):
            raise InputError(
                f'"{shorten(self.items)}" is {type_label(items)}, expected a list', where="for_each"
            )
        if len(items) > MAX_ITEMS:
            raise InputError(
                f'"{shorten(self.items)}" has {len(items):,} items, expected at most {MAX_ITEMS:,}',
                where="for_each",
            )
        by_key: dict[str, Any] = {}
        for key, item in zip(self._keys(items, values, limit), items, strict=True):
            if key in by_key:
                raise InputError(
                    f'two items of "{shorten(self.items)}" are {shorten(repr(key))}',
                    where="for_each",
                    hint="remove one of them" if self.key is None else "give each another `key`",
                )
            by_key[key] = item
        return by_key

    def _keys(
        self, items: list[Any] | tuple[Any, ...], values: Mapping[str, Any], limit: WorkLimit
    ) -> Iterator[str]:
        for index, item in enumerate(limit.counted(items)):
            key = item
            if self.key is not None:
                key = compile_expression(self.key).evaluate({**values, self.name: item}, limit)
            if not isinstance(key, str | int | float):
                what = "its key is" if self.key is not None else "is"
                raise InputError(
                    f'item {index} of "{shorten(self.items)}": {what} {type_label(key)}, '
                    "expected a text, a number or a boolean",
                    where="for_each",
                    hint=f"give `key`, for example `key: {self.name}.name`"
                    if isinstance(key, dict)
                    else "",
                )
            yield str(key).lower() if isinstance(key, bool) else str(key).strip()
