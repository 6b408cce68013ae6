"""`POST /v1/token_bytes`: the bytes of tokens, for pictures of results, which hold ids."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from autocog_core.server.request_calls import Calls
from autocog_core.types.token_texts import bytes_of_tokens

router = APIRouter(tags=["tokens"])

#: Tokens of one request.
MAX_TOKENS = 100_000


class TokenBytesBody(BaseModel):
    """Tokens of a model.

    :ivar model: its name; the default model without one.
    :ivar tokens: the ids of the tokens, in any order.
    """

    model_config = ConfigDict(extra="forbid")

    model: str | None = None
    tokens: Annotated[list[int], Field(max_length=MAX_TOKENS)]


class TokenBytes(BaseModel):
    """The bytes of tokens.

    :ivar token_bytes: by the id of a token, its bytes in hexadecimal, as trees have them. Empty if
        the model has no tokenizer.
    """

    token_bytes: dict[str, str]


@router.post("/v1/token_bytes")
async def token_bytes(body: TokenBytesBody, calls: Calls) -> TokenBytes:
    """Return the bytes of each token: a character may be more than one token."""
    model = await calls.model(body.model)
    # The engine may be busy, or behind a network.
    (found,) = await calls.make(
        model, [asyncio.to_thread(bytes_of_tokens, body.tokens, model.model)]
    )
    return TokenBytes(token_bytes={str(token): raw.hex() for token, raw in found.items()})
