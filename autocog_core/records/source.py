"""What describes a record: a type of Python or a JSON Schema, and its values."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from inspect import isroutine
from typing import TYPE_CHECKING, Any

from autocog_core.errors import InputError, shorten

if TYPE_CHECKING:
    from pydantic.json_schema import GenerateJsonSchema


@dataclass(frozen=True, kw_only=True)
class RecordSource:
    """A JSON Schema, and how its values become instances.

    :ivar schema: the schema as JSON data.
    :ivar to_instance: returns the instance of a value that is valid JSON data. It raises
        `InputError` if the type refuses it by a rule that no JSON Schema has, such as a validator.
    """

    schema: Any
    to_instance: Callable[[Any], Any]


def record_source(source: Any) -> RecordSource:
    """Return the JSON Schema of a type, or of a schema that is given.

    :param source: a pydantic model, a dataclass, a TypedDict, or another type that pydantic knows;
        or a JSON Schema as a mapping, whose values stay plain data.
    :raises InputError: if pydantic makes no JSON Schema of it, or it is not JSON.
    """
    if isinstance(source, Mapping | bool):
        return RecordSource(schema=_as_json(source), to_instance=lambda value: value)
    from pydantic import TypeAdapter, ValidationError
    from pydantic.errors import PydanticUserError

    label = getattr(source, "__name__", repr(source))
    try:
        if isroutine(source):
            # pydantic would make a schema of its arguments.
            raise TypeError("it is a function")
        adapter = TypeAdapter(source)
        schema = adapter.json_schema(schema_generator=_generator())
    except (PydanticUserError, TypeError, RecursionError, AttributeError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise InputError(
            f"no JSON Schema can be made of {shorten(label)}: {lines[0]}",
            where="record",
            hint="give a pydantic model, a dataclass, a TypedDict or a JSON Schema",
        ) from error

    def to_instance(value: Any) -> Any:
        try:
            # By JSON, so that also strict models read dates and enums from texts.
            return adapter.validate_json(json.dumps(value))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            path = ".".join(map(str, first["loc"]))
            refused = shorten(repr(first["input"]))
            raise InputError(
                f"{shorten(label)} refuses the value {refused}: {first['msg']}",
                where=path or "record",
            ) from error

    return RecordSource(schema=_as_json(schema), to_instance=to_instance)


def _as_json(schema: Any) -> Any:
    """Return a schema as plain JSON data."""
    try:
        text = json.dumps(schema, allow_nan=False)
        data = json.loads(text)
        json.dumps(data, ensure_ascii=False).encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"the schema is not JSON: {error}", where="schema") from error
    return data


@cache
def _generator() -> type[GenerateJsonSchema]:
    """Return pydantic's generator, with what a model can write better."""
    from pydantic.json_schema import GenerateJsonSchema

    class Generator(GenerateJsonSchema):
        """Decimals are numbers, and sets are lists: repeated items count once."""

        def decimal_schema(self, schema: Any) -> Any:
            whole = super().decimal_schema(schema)
            alternatives = whole.get("anyOf", ())
            numbers = [each for each in alternatives if each.get("type") == "number"]
            if not numbers:
                return whole
            places = schema.get("decimal_places")
            step = {} if places is None or "multiple_of" in schema else {"multipleOf": 10**-places}
            return {**numbers[0], **step}

        def set_schema(self, schema: Any) -> Any:
            return _without_unique_items(super().set_schema(schema))

        def frozenset_schema(self, schema: Any) -> Any:
            return _without_unique_items(super().frozenset_schema(schema))

    return Generator


def _without_unique_items(schema: dict[str, Any]) -> dict[str, Any]:
    # With a minimum, repeated items would leave too few.
    if schema.get("minItems", 0) > 1:
        return schema
    return {key: value for key, value in schema.items() if key != "uniqueItems"}
