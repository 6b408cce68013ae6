"""The app: routes, what every request passes through, and the models' life."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from autocog_core.config.server_config import ServerConfig
from autocog_core.server.admission import Admission
from autocog_core.server.app.openapi_document import add_openapi_document
from autocog_core.server.decisions.served_templates import ServedTemplates
from autocog_core.server.documented_errors import error_responses
from autocog_core.server.error_answers import add_error_answers
from autocog_core.server.json_answer import JsonAnswer
from autocog_core.server.metrics import ServerMetrics
from autocog_core.server.middleware.access_log import AccessLog
from autocog_core.server.middleware.answer_headers import AnswerHeaders
from autocog_core.server.middleware.authentication import Authentication
from autocog_core.server.middleware.body_limit import BodyLimit
from autocog_core.server.middleware.request_checks import RequestChecks
from autocog_core.server.middleware.unexpected_errors import UnexpectedErrors
from autocog_core.server.program_folder import ProgramFolder
from autocog_core.server.routes import all_routers
from autocog_core.server.served_models import ServedModels
from autocog_core.server.server_state import ServerState
from autocog_core.version import __version__


def create_app(
    models: ServedModels,
    config: ServerConfig | None = None,
    keys: Sequence[str] = (),
    hosts: Collection[str] = (),
) -> FastAPI:
    """Return the ASGI app of a server, for `autocog serve` or any ASGI server.

    :param models: the models; the app closes them at its end.
    :param config: the settings.
    :param keys: the keys of clients; with none, every request is answered.
    :param hosts: the names by which clients may call the server; empty for any.
    :raises ConfigError: if the folder of programs cannot be read; for a template that is not valid,
        or of a model that is not served.
    :raises InputError: for a program with errors.
    """
    config = config or ServerConfig()
    templates = ServedTemplates.read(config.templates, models.names)
    state = ServerState(
        config=config,
        keys=tuple(keys),
        models=models,
        admission=Admission(config.limits.waiting),
        metrics=ServerMetrics(),
        programs=ProgramFolder(config.programs),
    )
    app = FastAPI(
        title="autocog",
        version=__version__,
        summary="Exact probabilities of choices, and texts, from any model.",
        lifespan=_lifespan,
        middleware=_middleware(state, hosts),
        docs_url=None,
        redoc_url=None,
        # A redirect would name the address without the TLS of a proxy.
        redirect_slashes=False,
        default_response_class=JsonAnswer,
    )
    app.state.server = state
    app.state.templates = templates
    add_error_answers(app)
    for router in all_routers():
        app.include_router(router, responses=error_responses())
    add_openapi_document(app, needs_key=bool(state.keys))
    return app


def _middleware(state: ServerState, hosts: Collection[str]) -> list[Middleware]:
    """Return what every request passes through, outermost first."""
    config = state.config
    layers = [
        Middleware(AccessLog, state.metrics, config.log_prompts),
        Middleware(AnswerHeaders),
        Middleware(UnexpectedErrors),
    ]
    if config.origins:
        layers.append(
            Middleware(
                CORSMiddleware,
                allow_origins=config.origins,
                allow_methods=["GET", "POST"],
                allow_headers=["Authorization", "Content-Type"],
            )
        )
    layers += [
        Middleware(Authentication, state.keys),
        Middleware(RequestChecks, hosts),
        Middleware(BodyLimit, config.limits),
    ]
    return layers


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await app.state.server.models.close()
