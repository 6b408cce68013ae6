"""Constraints: what a whole text that a model writes must be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from autocog_core.errors import InputError

#: "regex": a regular expression (Rust's syntax: no look-around, no back-references). "grammar": a
#: context-free grammar in Lark's syntax, whose first rule is `start`. "json_schema": a JSON Schema.
ConstraintKind = Literal["regex", "grammar", "json_schema"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Constraint:
    """The language of a whole text.

    :ivar kind: how `source` is written.
    :ivar source: the expression, the grammar, or the schema as JSON with its keys in their order.
    """

    kind: ConstraintKind
    source: str

    @classmethod
    def from_arguments(
        cls,
        *,
        regex: str | None = None,
        grammar: str | None = None,
        json_schema: Mapping[str, Any] | bool | None = None,
        where: str = "constraint",
    ) -> Constraint | None:
        """Return the constraint that is given; None if none is.

        :param regex: a regular expression.
        :param grammar: a grammar in Lark's syntax.
        :param json_schema: a JSON Schema.
        :param where: what has these arguments, for error messages.
        :raises InputError: if several are given, or the schema is not JSON.
        """
        arguments = {"regex": regex, "grammar": grammar, "json_schema": json_schema}
        given = [name for name, value in arguments.items() if value is not None]
        if len(given) > 1:
            raise InputError(f"give one of {', '.join(given)}, not several", where=where)
        if regex is not None:
            return cls(kind="regex", source=regex)
        if grammar is not None:
            return cls(kind="grammar", source=grammar)
        if json_schema is None:
            return None
        try:
            source = json.dumps(json_schema, allow_nan=False, ensure_ascii=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(f"json_schema is not JSON: {error}", where=where) from error
        return cls(kind="json_schema", source=source)
