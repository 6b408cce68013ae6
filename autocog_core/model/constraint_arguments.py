"""From the arguments of a call to the constraint on its text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autocog_core.automaton.checks.constraint_checks import constraint_error
from autocog_core.errors import InputError
from autocog_core.types.constraint import Constraint
from autocog_core.types.prompt import check_text

#: The arguments of `complete` of which one constrains the text.
CONSTRAINT_ARGUMENTS = ("regex", "grammar", "json_schema")


def make_constraint(arguments: Mapping[str, Any]) -> Constraint | None:
    """Return the constraint of a call; None without one.

    :param arguments: all arguments of the call; None counts as not given.
    :raises InputError: for several constraints, a wrong type, or one that no text meets.
    """
    given: dict[str, Any] = {
        name: arguments[name] for name in CONSTRAINT_ARGUMENTS if arguments.get(name) is not None
    }
    for name in ("regex", "grammar"):
        if name in given:
            check_text(given[name], name)
    if "json_schema" in given:
        given["json_schema"] = json_schema_of(given["json_schema"])
    where = next(iter(given), "constraint")
    constraint = Constraint.from_arguments(**given, where=where)
    if constraint is not None and (reason := constraint_error(constraint)):
        raise InputError(reason, where=where)
    return constraint


def json_schema_of(schema: Any) -> Mapping[str, Any] | bool:
    """Return a JSON Schema as plain data.

    :param schema: a JSON Schema; or a pydantic model, a dataclass, a TypedDict or another type that
        pydantic can describe.
    :raises InputError: if it is none of them.
    """
    if isinstance(schema, Mapping | bool):
        return schema
    hint = "give a JSON Schema, or a pydantic model, dataclass or TypedDict"
    if isinstance(schema, str | bytes | int | float | list | tuple):
        raise InputError(f"got {type(schema).__name__}", where="json_schema", hint=hint)

    from pydantic import TypeAdapter
    from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError

    try:
        return TypeAdapter(schema).json_schema()
    except (PydanticUserError, PydanticInvalidForJsonSchema, NameError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"pydantic cannot describe it: {reason}", where="json_schema", hint=hint
        ) from error
