"""api.openai.com: chat, responses, completions and decisions, behind a key.

Follows the API reference as the openai SDK 3.54 (November 2026) describes it, and the errors that
the service is known to send. Log-probabilities are taken to be the model's own, whatever the biases
and the temperature; that of a token not among the 20 likeliest is told as -9999. There is no
assistant prefill: a last message of the assistant is one more turn. Each kind of model answers on
its own routes. A reasoning model spends part of its budget out of sight, and refuses what such
models refuse.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.openai.servers import (
    openai_chat,
    openai_completions,
    openai_decisions,
    openai_responses,
)
from tests.support.openai.servers.engine import Engine
from tests.support.openai.servers.openai_errors import bad_key, error, no_model, wrong_route
from tests.support.openai.servers.replies import Refusal, refused
from tests.support.openai.servers.serving import ModelServer

CHAT, REASONING = "random", "o-random"
INSTRUCT, DECIDER = "random-instruct", "random-decide"
KEY = "sk-test-0123456789abcdef"

Answer = Callable[[Engine, Mapping[str, Any], bool], Response]


class OpenAIServer(ModelServer):
    """The API with four models: CHAT, REASONING, INSTRUCT (completions only), DECIDER.

    :param key: the only API key that it takes.
    :param decisions: whether it has that route.
    """

    def __init__(
        self, engine: Engine | None = None, *, key: str = KEY, decisions: bool = True
    ) -> None:
        self.key = key
        talking = (CHAT, REASONING)
        routes = [
            Route("/v1/models", self.models),
            Route("/v1/models/{name}", self.model),
            self._route("/v1/chat/completions", openai_chat.answer, talking),
            self._route("/v1/responses", openai_responses.answer, talking),
            self._route("/v1/completions", openai_completions.answer, (INSTRUCT,)),
        ]
        if decisions:
            routes.append(self._route("/v1/decisions", openai_decisions.answer, (DECIDER,)))
        super().__init__(engine or Engine(), routes, exception_handlers={Refusal: refused})

    async def models(self, request: Request) -> Response:
        self._check_key(request)
        names = (CHAT, REASONING, INSTRUCT, DECIDER)
        return JSONResponse({"object": "list", "data": [_card(name) for name in names]})

    async def model(self, request: Request) -> Response:
        self._check_key(request)
        return JSONResponse(_card(_known(request.path_params["name"])))

    def _route(self, path: str, answer: Answer, models: tuple[str, ...]) -> Route:
        async def endpoint(request: Request) -> Response:
            self._check_key(request)
            try:
                body = await request.json()
            except ValueError:
                raise error("We could not parse the JSON body of your request.") from None
            if not isinstance(body.get("model"), str):
                raise error("you must provide a model parameter")
            if _known(body["model"]) not in models:
                raise wrong_route(body["model"], path)
            await asyncio.sleep(self.engine.delay)
            return answer(self.engine, body, body["model"] == REASONING)

        handler: Callable[[Request], Awaitable[Response]] = endpoint
        return Route(path, handler, methods=["POST"])

    def _check_key(self, request: Request) -> None:
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        if key != self.key:
            raise bad_key(key)


def _known(name: str) -> str:
    if name not in (CHAT, REASONING, INSTRUCT, DECIDER):
        raise no_model(name)
    return name


def _card(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "openai"}
