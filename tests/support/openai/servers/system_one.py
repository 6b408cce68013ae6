"""A server that has System One alone, or answers its route with an error.

The probability of option number i is proportional to i + 1. It knows one model, "random".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.openai.servers.engine import Engine
from tests.support.openai.servers.serving import ModelServer

PATH = "/v1/systemone"


def shares(count: int) -> list[float]:
    """Return the probabilities of so many options."""
    return [(number + 1) / (count * (count + 1) / 2) for number in range(count)]


class SystemOneServer(ModelServer):
    """See the module.

    :param status: of each answer of the route; without a body, that of Starlette.
    :param body: of each answer.
    :param path: the route.
    :ivar digits: how many decimals the probabilities have; None for all.
    """

    def __init__(self, status: int = 200, body: Any = None, path: str = PATH) -> None:
        self.digits: int | None = None
        self._status, self._body = status, body
        # Starlette itself answers 405 to another method, and 404 to another path.
        method = "GET" if status == 405 else "POST"
        routes = [
            Route("/v1/models", self._models),
            *(
                []
                if status == 404 and body is None
                else [Route(path, self._decide, methods=[method])]
            ),
        ]
        super().__init__(Engine(), routes)

    async def _models(self, _: Request) -> Response:
        return JSONResponse({"models": [{"name": "random", "description": ""}]})

    async def _decide(self, request: Request) -> Response:
        if self._status != 200 or self._body is not None:
            return JSONResponse(self._body, status_code=self._status)
        body = await request.json()
        answers = {name: self._answer(question) for name, question in body["questions"].items()}
        usage = {"input_tokens": 10 * len(answers) + 1, "output_tokens": 0}
        return JSONResponse({"model": "random-1", "answers": answers, "usage": usage})

    def _answer(self, question: Mapping[str, Any]) -> dict[str, Any]:
        options = list(question["criteria"])
        found = [
            share if self.digits is None else round(share, self.digits)
            for share in shares(len(options))
        ]
        probabilities = dict(zip(options, found, strict=True))
        return {
            "type": "choice",
            "choice": options[-1],
            "confidence": 0.5,
            "probabilities": probabilities,
            "x_exact": True,
            "x_logprob": dict.fromkeys(options, -1.0),
        }


def with_route(server: ModelServer, status: int = 200, body: Any = None) -> ModelServer:
    """Return a server to which the route of System One was added.

    :param status: of each answer of the route.
    :param body: of each answer; None for decisions, or for no body.
    """
    server.router.routes += SystemOneServer(status, body).router.routes[1:]
    return server
