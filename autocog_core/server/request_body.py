"""What bodies of requests have in common: no unknown fields, and plain data of bounded depth."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from autocog_core.errors import append_hint, shorten, suggest

#: Levels of nesting of plain data, as in program files.
MAX_DEPTH = 60
#: Values in plain data, as in program files.
MAX_VALUES = 250_000


class Body(BaseModel):
    """The body of a request: an unknown field, or a value of another type, is an error."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_fields(cls, data: Any) -> Any:
        if isinstance(data, dict):
            names = {field.alias or name for name, field in cls.model_fields.items()}
            for name in data:
                if name not in names:
                    text = f"unknown field {shorten(repr(name))}"
                    message = append_hint(text, suggest(str(name), names))
                    # A template: braces in a name must not be read as its fields.
                    raise PydanticCustomError("unknown_field", "{message}", {"message": message})
        return data


def kind_of(value: Any) -> str:
    """Return the tag of a value among the members of a union: a text, an object or a list.

    Places in errors are without tags, which stand in angle brackets.
    """
    if isinstance(value, dict | BaseModel):
        return "<object>"
    return "<list>" if isinstance(value, list) else "<text>"


def check_plain_data(value: Any, max_values: int = MAX_VALUES) -> Any:
    """Return plain data of JSON as it is.

    :param value: the data.
    :param max_values: how many values it may have.
    :raises PydanticCustomError: if it is nested too deep or has too many values, or a number that
        JSON does not have.
    """
    values = [(value, 0)]
    count = 1
    while values:
        entry, depth = values.pop()
        if isinstance(entry, float) and not math.isfinite(entry):
            raise PydanticCustomError("finite_number", "numbers must be finite")
        if isinstance(entry, dict | list):
            if depth >= MAX_DEPTH:
                message = f"is nested more than {MAX_DEPTH} levels deep"
                raise PydanticCustomError("too_deep", "{message}", {"message": message})
            count += len(entry)
            if count > max_values:
                message = f"has more than {max_values:,} values"
                raise PydanticCustomError("too_many_values", "{message}", {"message": message})
            inner = entry.values() if isinstance(entry, dict) else entry
            values += [(member, depth + 1) for member in inner]
    return value


#: An object of JSON.
PlainObject = Annotated[dict[str, Any], AfterValidator(check_plain_data)]


class ModelBody(Body):
    """A body that names a model.

    :cvar one_of: fields of which a body has exactly one.
    """

    one_of: ClassVar[tuple[str, ...]] = ()
    model: str | None = Field(
        None, description="The model's name, as in `GET /v1/models`. Default: the default model."
    )

    @model_validator(mode="after")
    def _require_one(self) -> Self:
        given = [name for name in self.one_of if getattr(self, name) is not None]
        if self.one_of and len(given) != 1:
            problem = f"{' and '.join(given)} are given" if given else "nothing is given"
            message = f"{problem}: give one of {', '.join(self.one_of)}"
            raise PydanticCustomError("one_of", "{message}", {"message": message})
        return self
