"""A compatible server that does little: completions by text, and chat.

As Ollama 0.12 and later (docs/api/openai-compatibility): prompts are text, no route for tokens, no
`logit_bias`, no echo, no constraint but `response_format`, one completion a request; unknown fields
are ignored. Chat tells up to 20 top log-probabilities, or, as many such servers, none at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.openai.servers import constraints
from tests.support.openai.servers.engine import Engine, Generation, Sampling, Step
from tests.support.openai.servers.replies import (
    Refusal,
    clamped,
    deltas,
    events,
    flattened,
    refused,
    stops,
)
from tests.support.openai.servers.serving import ModelServer

TOP_LOGPROBS = 20


class Generic(ModelServer):
    """A small compatible server with one model.

    :param logprobs: whether the chat route returns log-probabilities.
    """

    def __init__(
        self, engine: Engine | None = None, *, model_name: str = "random", logprobs: bool = True
    ) -> None:
        self.model_name = model_name
        self.logprobs = logprobs
        routes = [
            Route("/v1/models", self.models),
            Route("/v1/completions", self.completions, methods=["POST"]),
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
        ]
        super().__init__(engine or Engine(), routes, exception_handlers={Refusal: refused})

    async def models(self, request: Request) -> Response:
        card = {"id": self.model_name, "object": "model", "created": 0, "owned_by": "library"}
        return JSONResponse({"object": "list", "data": [card]})

    async def completions(self, request: Request) -> Response:
        body = await self._body(request)
        if not isinstance(body.get("prompt"), str):
            raise _error("invalid type for 'prompt': a string is expected")
        tokens = self.engine.encode(body["prompt"])
        generation = self._generate(tokens, body)
        usage = _usage(tokens, generation)
        if body.get("stream"):
            return events(self._chunks(generation, body, usage, chat=False))
        head = {"id": "cmpl-1", "object": "text_completion", "created": 0}
        choice = {"index": 0, "text": generation.text, "finish_reason": _reason(generation)}
        head |= {"model": self.model_name}
        return JSONResponse(head | {"choices": [choice], "usage": usage})

    async def chat(self, request: Request) -> Response:
        body = await self._body(request)
        if not body.get("messages"):
            raise _error("[] is too short - 'messages'")
        if self.logprobs and not 0 <= (body.get("top_logprobs") or 0) <= TOP_LOGPROBS:
            raise _error(f"top_logprobs must be between 0 and {TOP_LOGPROBS}")
        tokens = self.engine.chat(flattened(body["messages"]))
        generation = self._generate(tokens, body)
        usage = _usage(tokens, generation)
        if body.get("stream"):
            return events(self._chunks(generation, body, usage, chat=True))
        message = {"role": "assistant", "content": generation.text}
        choice = {"index": 0, "message": message, "finish_reason": _reason(generation)}
        if self._tells(body):
            choice["logprobs"] = self._content(generation.steps, body)
        head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 0}
        head |= {"model": self.model_name}
        return JSONResponse(head | {"choices": [choice], "usage": usage})

    async def _body(self, request: Request) -> dict[str, Any]:
        body = await request.json()
        if body.get("model") != self.model_name:
            raise _error(f"model '{body.get('model')}' not found", status=404)
        await asyncio.sleep(self.engine.delay)
        return dict(body)

    def _generate(self, tokens: list[int], body: Mapping[str, Any]) -> Generation:
        left = max(1, self.engine.context_length - len(tokens))
        requested = body.get("max_completion_tokens") or body.get("max_tokens") or left
        sampling = Sampling(
            max_tokens=min(requested, left),
            temperature=1.0 if body.get("temperature") is None else body["temperature"],
            top_p=1.0 if body.get("top_p") is None else body["top_p"],
            stop=stops(body),
            seed=body.get("seed"),
            grammar=constraints.of_response_format(body),
        )
        if message := constraints.problem(sampling.grammar):
            raise _error(message)
        self.engine.begin(tokens)
        return self.engine.generate(tokens, sampling)[0]

    def _tells(self, body: Mapping[str, Any]) -> bool:
        return self.logprobs and bool(body.get("logprobs"))

    def _content(self, steps: list[Step], body: Mapping[str, Any]) -> dict[str, Any]:
        count = body.get("top_logprobs") or 0

        def entry(step: Step, token: int) -> dict[str, Any]:
            text = self.engine.decode([token])
            written = {"token": text, "logprob": clamped(step.row[token])}
            return written | {"bytes": list(text.encode())}

        entries = [
            entry(step, step.token)
            | {"top_logprobs": [entry(step, token) for token in step.top(count)]}
            for step in steps
        ]
        return {"content": entries}

    def _chunks(
        self, generation: Generation, body: Mapping[str, Any], usage: Mapping[str, Any], chat: bool
    ) -> Iterator[dict[str, Any]]:
        kind = "chat.completion.chunk" if chat else "text_completion"
        head = {"id": "chatcmpl-1", "object": kind, "created": 0, "model": self.model_name}
        for text, step in deltas(self.engine, generation):
            delta = {"role": "assistant", "content": text}
            part: dict[str, Any] = {"index": 0, "finish_reason": None}
            part |= {"delta": delta} if chat else {"text": text}
            if chat and step is not None and self._tells(body):
                part["logprobs"] = self._content([step], body)
            yield {**head, "choices": [part]}
        end: dict[str, Any] = {"delta": {"content": ""}} if chat else {"text": ""}
        yield {**head, "choices": [end | {"index": 0, "finish_reason": _reason(generation)}]}
        if (body.get("stream_options") or {}).get("include_usage"):
            yield {**head, "choices": [], "usage": usage}


def _error(message: str, status: int = 400) -> Refusal:
    body = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return Refusal(status, {"error": body})


def _reason(generation: Generation) -> str:
    return "length" if generation.finish == "length" else "stop"


def _usage(tokens: list[int], generation: Generation) -> dict[str, int]:
    completed = len(generation.steps)
    usage = {"prompt_tokens": len(tokens), "completion_tokens": completed}
    return usage | {"total_tokens": len(tokens) + completed}
