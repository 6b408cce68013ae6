"""`POST /v1/records`: values that match a JSON Schema, as `Model.record` writes them."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import ConfigDict, Field

from autocog_core.config.server_config import ServerLimits
from autocog_core.records.result import TypedRecord
from autocog_core.server.autocog_api.prompts import PromptsBody
from autocog_core.server.autocog_api.record_answer import RecordsAnswer
from autocog_core.server.autocog_api.run_budget import run_budget
from autocog_core.server.autocog_api.usage import usage_of
from autocog_core.server.json_answer import JsonAnswer, json_answer
from autocog_core.server.named_calls import check_count, make_named_calls
from autocog_core.server.request_body import PlainObject
from autocog_core.server.request_calls import Calls
from autocog_core.server.request_errors import RequestError
from autocog_core.server.whole_numbers import MAX_INTEGER, WHOLE, Positive

router = APIRouter(tags=["records"])


class RecordBody(PromptsBody):
    """The arguments of `Model.record`, for one prompt or many."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "prompt": "A red bike, almost new: ",
                    "schema": {
                        "type": "object",
                        "properties": {
                            "color": {"enum": ["red", "blue"]},
                            "used": {"type": "boolean"},
                        },
                        "required": ["color", "used"],
                    },
                }
            ]
        },
    )

    record_schema: PlainObject | bool = Field(
        alias="schema", description="The JSON Schema of the record."
    )
    style: str = Field(
        "json", description='"json", or a template such as "Name: {name}\\nAge: {age}\\n".'
    )
    beams: Annotated[int, Field(ge=1, le=64), WHOLE] = Field(1, description="Beams of each text.")
    alternatives: Annotated[int, Field(ge=0, le=MAX_INTEGER), WHOLE] | None = Field(
        None, description="Most alternatives of a field. Default: all."
    )
    temperature: float = Field(
        0.0, ge=0, description="0: the best beam of each text; above, texts are sampled."
    )
    seed: Annotated[int, Field(ge=0, le=MAX_INTEGER), WHOLE] = Field(
        0, description="Random seed of sampling."
    )
    max_tokens_per_text: Positive = Field(
        64, description="Most tokens of a string or a number; the server has a limit."
    )
    max_items: Annotated[int, Field(ge=1, le=1000), WHOLE] = Field(
        20, description="Most items of a list without `maxItems`."
    )
    tree: bool = Field(False, description="Give the tree of the run, too.")

    def options(self, limits: ServerLimits) -> dict[str, Any]:
        """Return the arguments that all prompts share.

        :raises RequestError: for texts that are longer than the server allows.
        """
        if self.max_tokens_per_text > limits.output_tokens:
            raise RequestError(
                f"{self.max_tokens_per_text:,} tokens; this server writes at most "
                f"{limits.output_tokens:,}",
                parameter="max_tokens_per_text",
            )
        return {
            "schema": self.record_schema,
            "style": self.style,
            "beams": self.beams,
            "alternatives": self.alternatives,
            "temperature": self.temperature,
            "seed": self.seed,
            "max_tokens_per_text": self.max_tokens_per_text,
            "max_items": self.max_items,
            "budget": run_budget(limits),
        }


@router.post("/v1/records", response_model=RecordsAnswer)
async def write_records(body: RecordBody, calls: Calls) -> JsonAnswer:
    """Let the model write values that match a JSON Schema, each field with its probability.

    The answer has one record for each prompt, as `TypedRecord.to_dict` writes it.
    """
    limits = calls.state.config.limits
    prompts, options = body.calls(), body.options(limits)
    check_count("prompts", len(prompts), limits, "prompts")
    model = await calls.model(body.model)
    records = await make_named_calls(
        calls,
        model,
        "prompt",
        [partial(model.calls.record, **prompt, **options) for prompt in prompts],
    )
    return await json_answer(
        lambda: {
            "object": "records",
            "model": model.name,
            "results": [_as_data(record, body.tree) for record in records],
            "usage": usage_of(record.tree.stats.get("tokens_evaluated") for record in records),
        },
        entries=sum(len(record.tree.nodes) for record in records),
    )


def _as_data(record: TypedRecord[Any], with_tree: bool) -> dict[str, Any]:
    tree = {"tree": record.tree.to_dict()} if with_tree else {}
    return {**record.to_dict(), **tree}
