"""`GET /v1/models`: the models, for clients of OpenAI and of System One."""

from __future__ import annotations

import time
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel

from autocog_core.server.server_state import ServerState

router = APIRouter(tags=["models"])


class OpenAIModel(BaseModel):
    """A model in OpenAI's list.

    :ivar id: its name.
    :ivar created: when the server started, in seconds since 1970.
    """

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "autocog"


class SystemOneModel(BaseModel):
    """A model in the list of System One.

    :ivar name: its name.
    :ivar description: what it runs on.
    :ivar release_date: the day on which the server started.
    """

    name: str
    description: str
    release_date: str


class ModelList(BaseModel):
    """The models, twice: `data` is OpenAI's list, `models` that of System One."""

    object: Literal["list"] = "list"
    data: list[OpenAIModel]
    models: list[SystemOneModel]


@router.get("/v1/models")
async def list_models(request: Request) -> ModelList:
    """List the models; the first one is the default."""
    state: ServerState = request.app.state.server
    names = state.models.names
    day = time.strftime("%Y-%m-%d", time.gmtime(state.models.created))
    return ModelList(
        data=[_openai_model(state, name) for name in names],
        models=[
            SystemOneModel(name=name, description=_description(state, name), release_date=day)
            for name in dict.fromkeys([*names, "jev-latest"])
        ],
    )


@router.get("/v1/models/{name:path}")
async def get_model(request: Request, name: str) -> OpenAIModel:
    """Describe a model."""
    state: ServerState = request.app.state.server
    return _openai_model(state, state.models.resolve(name))


def _openai_model(state: ServerState, name: str) -> OpenAIModel:
    return OpenAIModel(id=name, created=state.models.created)


def _description(state: ServerState, name: str) -> str:
    if name not in state.models.names:
        return f"another name of {state.models.default}"
    served = state.models.loaded.get(name)
    return served.model.info.name if served is not None else "not loaded yet"
