"""`/health`, `/ready` and `/metrics`: for those who watch a server."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from autocog_core.server.request_errors import RequestError
from autocog_core.server.server_state import ServerState

router = APIRouter(tags=["server"])


class Health(BaseModel):
    """That the server runs.

    :ivar status: "ok".
    """

    status: str = "ok"


class Readiness(BaseModel):
    """That the default model is loaded.

    :ivar status: "ready".
    :ivar loaded: the names of the loaded models.
    """

    status: str = "ready"
    loaded: list[str]


@router.get("/health")
async def health() -> Health:
    """Say that the server runs."""
    return Health()


@router.get("/ready")
async def ready(request: Request) -> Readiness:
    """Say whether the default model is loaded; 503 if it is not."""
    state: ServerState = request.app.state.server
    loaded = list(state.models.loaded)
    if state.models.default not in loaded:
        raise RequestError("the default model is not loaded yet", status=503, code="not_ready")
    return Readiness(loaded=loaded)


@router.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Return counters in Prometheus' text format."""
    state: ServerState = request.app.state.server
    busy = {name: served.calls.busy_seconds for name, served in state.models.loaded.items()}
    text = state.metrics.text(state.admission.waiting, busy)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")
