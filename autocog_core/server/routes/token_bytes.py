"""`POST /v1/token_bytes`: the bytes of tokens, for pictures of results, which hold ids."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from autocog_core.server.json_answer import JsonAnswer, json_answer
from autocog_core.server.request_body import ModelBody
from autocog_core.server.request_calls import Calls
from autocog_core.server.whole_numbers import TokenId
from autocog_core.types.token_texts import bytes_of_tokens

router = APIRouter(tags=["tokens"])

#: Tokens of one request.
MAX_TOKENS = 100_000


class TokenBytesBody(ModelBody):
    """Tokens of a model."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"tokens": [72, 105]}]})

    tokens: list[TokenId] = Field(max_length=MAX_TOKENS, description="Their ids, in any order.")


class TokenBytes(BaseModel):
    """The bytes of tokens."""

    token_bytes: dict[str, str] = Field(
        description="By the id of a token, its bytes in hexadecimal, as in trees. Empty if the "
        "model has no tokenizer."
    )


@router.post("/v1/token_bytes", response_model=TokenBytes)
async def token_bytes(body: TokenBytesBody, calls: Calls) -> JsonAnswer:
    """Return the bytes of each token: a character may be more than one token."""
    model = await calls.model(body.model)
    # The engine may be busy, or behind a network.
    (found,) = await calls.make(
        model, [asyncio.to_thread(bytes_of_tokens, body.tokens, model.model)]
    )
    return await json_answer(
        lambda: {"token_bytes": {str(token): raw.hex() for token, raw in found.items()}},
        entries=len(found),
    )
