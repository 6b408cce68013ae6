"""Constraints on a text: `response_format` of OpenAI, and the arguments of vLLM."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from autocog_core.server.request_errors import RequestError

#: Any JSON object: what "json_object" means.
ANY_OBJECT = {"type": "object"}
#: Characters that a regular expression gives a meaning.
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$#&~-]")


class JsonSchemaFormat(BaseModel):
    """A JSON Schema with its name.

    :ivar name: a name, which changes nothing.
    :ivar schema_: the schema; under "schema" in JSON.
    :ivar strict: accepted; the text always fits the schema.
    """

    model_config = ConfigDict(extra="ignore")

    name: str | None = None
    description: str | None = None
    schema_: dict[str, Any] | bool | None = Field(None, alias="schema")
    strict: bool | None = None


class ResponseFormat(BaseModel):
    """The form of the text.

    :ivar type: "text" for any text, "json_object" for any JSON object, "json_schema" for an
        instance of a schema.
    :ivar json_schema: the schema.
    :ivar schema_: the schema of a "json_object" on some servers; under "schema" in JSON.
    """

    model_config = ConfigDict(extra="forbid")

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaFormat | None = None
    schema_: dict[str, Any] | bool | None = Field(None, alias="schema")


class StructuredOutputs(BaseModel):
    """A constraint in vLLM's form: one of the fields.

    :ivar json_: a JSON Schema; under "json" in JSON.
    :ivar regex: a regular expression.
    :ivar choice: texts of which the answer is one.
    :ivar grammar: a grammar in Lark's syntax.
    :ivar json_object: any JSON object.
    """

    model_config = ConfigDict(extra="forbid")

    json_: dict[str, Any] | bool | None = Field(None, alias="json")
    regex: str | None = None
    choice: list[str] | None = Field(None, min_length=1)
    grammar: str | None = None
    json_object: bool | None = None


class ConstraintFields(BaseModel):
    """The arguments that constrain a text, of which one may be given."""

    response_format: ResponseFormat | None = Field(
        None, description="The form of the text: any text, a JSON object, or a JSON Schema."
    )
    structured_outputs: StructuredOutputs | None = Field(
        None, description="A constraint in vLLM's form: json, regex, choice or grammar."
    )
    guided_json: dict[str, Any] | bool | None = Field(None, description="A JSON Schema.")
    guided_regex: str | None = Field(None, description="A regular expression.")
    guided_choice: list[str] | None = Field(
        None, min_length=1, description="Texts of which the answer is one."
    )
    guided_grammar: str | None = Field(None, description="A grammar in Lark's syntax.")

    def constraint(self) -> dict[str, Any]:
        """Return the constraint as an argument of `Model.complete`; none without one.

        :raises RequestError: for several constraints, or one that is incomplete.
        """
        outputs = self.structured_outputs or StructuredOutputs.model_validate({})
        constraints = [
            _constraint(json_schema=self._response_schema()),
            _constraint(json_schema=outputs.json_),
            _constraint(regex=outputs.regex),
            _constraint(regex=_regex_of_choices(outputs.choice)),
            _constraint(grammar=outputs.grammar),
            _constraint(json_schema=ANY_OBJECT if outputs.json_object else None),
            _constraint(json_schema=self.guided_json),
            _constraint(regex=self.guided_regex),
            _constraint(regex=_regex_of_choices(self.guided_choice)),
            _constraint(grammar=self.guided_grammar),
        ]
        given = [constraint for constraint in constraints if constraint]
        if len(given) > 1:
            raise RequestError("give one constraint on the text, not several")
        return given[0] if given else {}

    def _response_schema(self) -> dict[str, Any] | bool | None:
        form = self.response_format
        if form is None or form.type == "text":
            return None
        if form.type == "json_object":
            return ANY_OBJECT if form.schema_ is None else form.schema_
        schema = form.json_schema.schema_ if form.json_schema is not None else None
        if schema is None:
            raise RequestError(
                'the type "json_schema" needs a schema',
                parameter="response_format.json_schema.schema",
            )
        return schema


def _constraint(**given: Any) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def _regex_of_choices(choices: Sequence[str] | None) -> str | None:
    """Return a regular expression that matches one of several texts."""
    if choices is None:
        return None
    escaped = (_SPECIAL.sub(lambda match: "\\" + match[0], choice) for choice in choices)
    return f"(?:{'|'.join(escaped)})"
