"""SGLang's server: its own /generate, and its OpenAI-compatible routes.

Follows SGLang 0.5.21 (October 2026): srt/managers/io_struct.py (GenerateReqInput) for the requests,
the scheduler's log-probability processing for the answers, entrypoints/openai for the rest.
Log-probabilities of the prompt are the model's own; those of the output are after biases, masks and
temperature (the default; temperature 0 leaves them as they are).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.openai.servers import sglang_openai
from tests.support.openai.servers.engine import Engine
from tests.support.openai.servers.replies import Refusal, events, refused
from tests.support.openai.servers.serving import ModelServer
from tests.support.openai.servers.sglang_generate import generate, stream

VERSION = "0.5.21"


class SGLang(ModelServer):
    """An SGLang server with one model.

    :param model_name: what it is served as.
    """

    def __init__(self, engine: Engine | None = None, *, model_name: str = "random") -> None:
        self.model_name = model_name
        routes = [
            Route("/generate", self.generate, methods=["POST"]),
            Route("/model_info", self.model_info),
            Route("/get_model_info", self.model_info),
            Route("/server_info", self.server_info),
            Route("/get_server_info", self.server_info),
            Route("/health", self.health),
            Route("/v1/models", self.models),
        ]
        for prefix in ("", "/v1"):
            routes.append(Route(f"{prefix}/tokenize", self.tokenize, methods=["POST"]))
            routes.append(Route(f"{prefix}/detokenize", self.detokenize, methods=["POST"]))
        for kind, answer in sglang_openai.ROUTES.items():
            routes.append(Route(f"/v1/{kind}", self._compatible(answer), methods=["POST"]))
        super().__init__(engine or Engine(), routes, exception_handlers={Refusal: refused})

    async def health(self, request: Request) -> Response:
        return Response()

    async def model_info(self, request: Request) -> Response:
        paths = {"model_path": self.model_name, "tokenizer_path": self.model_name}
        return JSONResponse(paths | {"is_generation": True, "preferred_sampling_params": None})

    async def server_info(self, request: Request) -> Response:
        info = {"model_path": self.model_name, "served_model_name": self.model_name}
        info |= {"version": VERSION}
        return JSONResponse(info | {"max_total_num_tokens": 100 * self.engine.context_length})

    async def models(self, request: Request) -> Response:
        card = {"id": self.model_name, "object": "model", "created": 0, "owned_by": "sglang"}
        card |= {"root": self.model_name}
        listed = [card | {"max_model_len": self.engine.context_length}]
        return JSONResponse({"object": "list", "data": listed})

    async def tokenize(self, request: Request) -> Response:
        body = await request.json()
        value, special = body.get("prompt"), body.get("add_special_tokens", True)
        if not isinstance(value, str | list):
            raise sglang_openai.error("prompt must be a string or a list of strings")
        texts = [value] if isinstance(value, str) else value
        tokens = [self.engine.encode(text, special) for text in texts]
        counts = [len(each) for each in tokens]
        one = isinstance(value, str)
        reply = {"tokens": tokens[0] if one else tokens, "count": counts[0] if one else counts}
        return JSONResponse(reply | {"max_model_len": self.engine.context_length})

    async def detokenize(self, request: Request) -> Response:
        body = await request.json()
        value, skip = body.get("tokens"), body.get("skip_special_tokens", True)
        if not isinstance(value, list):
            raise sglang_openai.error("tokens must be a list of ids")
        several = bool(value) and isinstance(value[0], list)
        texts = [self.engine.decode(each, skip) for each in (value if several else [value])]
        return JSONResponse({"text": texts if several else texts[0]})

    async def generate(self, request: Request) -> Response:
        body = await request.json()
        await asyncio.sleep(self.engine.delay)
        answers = generate(self.engine, body)
        if body.get("stream"):
            return events(self._streamed(body, answers))
        several = isinstance(body.get("text"), list)
        ids = body.get("input_ids")
        several = several or (bool(ids) and isinstance(ids[0], list))
        replies = [answer.reply for answer in answers]
        return JSONResponse(replies if several or len(replies) > 1 else replies[0])

    def _streamed(self, body: Mapping[str, Any], answers: list[Any]) -> Iterator[dict[str, Any]]:
        for index, answer in enumerate(answers):
            for chunk in stream(self.engine, answer):
                yield chunk if len(answers) == 1 else {**chunk, "index": index}

    def _compatible(self, answer: sglang_openai.Answer) -> Any:
        async def endpoint(request: Request) -> Response:
            body = await request.json()
            await asyncio.sleep(self.engine.delay)
            return answer(self.engine, {**body, "model": body.get("model") or self.model_name})

        return endpoint
