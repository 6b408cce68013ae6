"""`POST /v1/choose`: everything that `Model.choose` and `choose_many` take."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from autocog_core.server.request_calls import Calls

router = APIRouter(tags=["choices"])


class ChooseBody(BaseModel):
    """The arguments of `Model.choose`."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = None
    prompt: str
    choices: list[str]


@router.post("/v1/choose")
async def choose(body: ChooseBody, calls: Calls) -> dict[str, Any]:
    """Score texts as continuations of a prompt."""
    model = await calls.model(body.model)
    (scores,) = await calls.make(model, [model.calls.choose(body.prompt, body.choices)])
    return scores.to_dict()
