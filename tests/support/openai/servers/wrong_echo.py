"""A completions server that scores prompts, wrongly or rightly.

Shaped as llama_cpp.server (llama-cpp-python 0.3.36) is: prompts are text, and `echo` with
`logprobs` tells the prompt's tokens, BOS left out and the first without a value. The fault is the
one of its upstream issue 1983, which models without BOS show: each token is looked up in the
distribution *after* it, and the last one has none. `right=True` looks them up where they belong.
Either way at most five of the top_tokens are told.
"""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.openai.servers.engine import Engine, Row, Sampling
from tests.support.openai.servers.replies import Refusal, clamped, events, refused, stops
from tests.support.openai.servers.serving import ModelServer

MOST = 5


class WrongEcho(ModelServer):
    """Completions, and no other route but the list of models.

    :param right: whether the values of the prompt stand where they belong.
    """

    def __init__(
        self, engine: Engine | None = None, *, model_name: str = "random", right: bool = False
    ) -> None:
        self.model_name = model_name
        self.right = right
        routes = [
            Route("/v1/models", self.models),
            Route("/v1/completions", self.completions, methods=["POST"]),
        ]
        super().__init__(engine or Engine(), routes, exception_handlers={Refusal: refused})

    async def models(self, request: Request) -> Response:
        card = {"id": self.model_name, "object": "model", "owned_by": "me", "permissions": []}
        return JSONResponse({"object": "list", "data": [card]})

    async def completions(self, request: Request) -> Response:
        body = await request.json()
        if not isinstance(body.get("prompt"), str):
            # What its validation answers to a list of ids.
            detail = [{"loc": ["body", "prompt"], "msg": "Input should be a valid string"}]
            raise Refusal(422, {"error": {"message": str(detail), "type": "invalid_request"}})
        await asyncio.sleep(self.engine.delay)
        tokens = self.engine.encode(body["prompt"])
        cached = self.engine.begin(tokens)
        sampling = Sampling(
            max_tokens=16 if body.get("max_tokens") is None else body["max_tokens"],
            temperature=0.8 if body.get("temperature") is None else body["temperature"],
            top_p=1.0 if body.get("top_p") is None else body["top_p"],
            top_k=max(0, body.get("top_k") or 0),
            min_p=body.get("min_p") or 0.0,
            stop=stops(body),
            seed=body.get("seed"),
        )
        generation = self.engine.generate(tokens, sampling)[0]
        echo, count = bool(body.get("echo")), body.get("logprobs")
        scored: list[tuple[int, Row | None]]
        if echo:
            scored = self._echoed([*tokens, *generation.tokens])
        else:
            scored = [(step.token, step.row) for step in generation.steps]
        text = self.engine.decode(tokens, skip_special_tokens=True) if echo else ""
        choice = {
            "index": 0,
            "text": text + generation.text,
            "logprobs": None if count is None else self._logprobs(scored, min(count, MOST)),
            "finish_reason": "length" if generation.finish == "length" else "stop",
        }
        completed = len(generation.steps)
        usage = {"prompt_tokens": len(tokens), "completion_tokens": completed}
        usage |= {"total_tokens": len(tokens) + completed}
        head = {"id": "cmpl-1", "object": "text_completion", "created": 0}
        head |= {"model": self.model_name}
        details = {"prompt_tokens_details": {"cached_tokens": cached}}
        whole = head | {"choices": [choice], "usage": usage | details}
        # A stream in one piece is one too.
        return events(iter([whole])) if body.get("stream") else JSONResponse(whole)

    def _echoed(self, tokens: list[int]) -> list[tuple[int, Row | None]]:
        begin = int(tokens[0] == self.engine.model.info.bos)
        late = 0 if self.right else 1
        places = range(begin, len(tokens) - late)
        rows = {
            place: self.engine.model.greedy(tokens[: place + late]) for place in places if place
        }
        return [(tokens[place], None if place == begin else rows[place]) for place in places]

    def _logprobs(self, scored: list[tuple[int, Row | None]], count: int) -> dict[str, Any]:
        names = [self.engine.decode([token]) for token, _ in scored]
        return {
            "text_offset": [len("".join(names[:number])) for number in range(len(names))],
            "tokens": names,
            "token_logprobs": [
                None if row is None else clamped(row[token]) for token, row in scored
            ],
            "top_logprobs": [
                None if row is None else self._top(row, count, token) for token, row in scored
            ],
        }

    def _top(self, row: Row, count: int, token: int) -> dict[str, float]:
        top_tokens = [int(each) for each in (-row).argsort(kind="stable")[:count]]
        return {self.engine.decode([each]): clamped(row[each]) for each in [*top_tokens, token]}
