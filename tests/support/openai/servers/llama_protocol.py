"""The native routes of llama-server, for tests that change its answers. Others use the real one.

Follows tools/server of llama.cpp (November 2026), without its hiding of incomplete characters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.openai.servers import constraints
from tests.support.openai.servers.engine import Engine, Generation, Sampling, Step
from tests.support.openai.servers.generic import Generic
from tests.support.openai.servers.replies import Refusal, clamped, events, flattened


def _invalid(message: str) -> dict[str, Any]:
    return {"error": {"code": 400, "message": message, "type": "invalid_request_error"}}


class LlamaServer(Generic):
    """A llama-server with one model.

    :param llguidance: whether it is built with llguidance, and takes its grammars.
    """

    def __init__(self, engine: Engine | None = None, *, llguidance: bool = True) -> None:
        super().__init__(engine)
        self.llguidance = llguidance
        self.routes[:0] = [
            Route("/v1/models", self.cards),
            Route("/props", self.properties),
            Route("/tokenize", self.tokenize, methods=["POST"]),
            Route("/detokenize", self.detokenize, methods=["POST"]),
            Route("/apply-template", self.template, methods=["POST"]),
            Route("/completion", self.completion, methods=["POST"]),
        ]

    async def cards(self, request: Request) -> Response:
        card = {"id": "random", "owned_by": "llamacpp", "meta": {"n_vocab": self.engine.size}}
        return JSONResponse({"object": "list", "data": [card]})

    async def properties(self, request: Request) -> Response:
        info = self.engine.model.info
        return JSONResponse(
            {
                "default_generation_settings": {"n_ctx": self.engine.context_length},
                "total_slots": 2,
                "build_info": "b1",
                "chat_template": "x",
                "bos_token": self.engine.surfaces.get(info.bos or -1, ""),
                "eos_token": self.engine.surfaces.get(info.eos[0], "") if info.eos else "",
            }
        )

    async def tokenize(self, request: Request) -> Response:
        body = await request.json()
        model = self.engine.model
        tokens = model.tokenize(body["content"], parse_special=body["parse_special"])
        bos = model.info.bos
        return JSONResponse({"tokens": [bos, *tokens] if body["add_special"] and bos else tokens})

    async def detokenize(self, request: Request) -> Response:
        return JSONResponse({"content": self.engine.decode((await request.json())["tokens"])})

    async def template(self, request: Request) -> Response:
        messages = flattened((await request.json())["messages"])
        text = "".join(f"{message['role']}: {message['content']}\n" for message in messages)
        return JSONResponse({"prompt": text + "assistant:"})

    async def completion(self, request: Request) -> Response:
        body = await request.json()
        prompt = list(body["prompt"])
        cached = self.engine.begin(prompt)
        sampling = Sampling(
            max_tokens=body["n_predict"],
            temperature=body["temperature"],
            seed=body.get("seed"),
            logit_bias=dict(body.get("logit_bias") or ()),
            grammar=self._grammar(body),
        )
        generation = self.engine.generate(prompt, sampling)[0]
        counts = {"prompt_n": len(prompt) - cached, "cache_n": cached}
        last = {
            "stop_type": "eos" if generation.finish == "eos" else "limit",
            "tokens_evaluated": len(prompt),
            "timings": {**counts, "predicted_n": len(generation.steps)},
        }
        if body.get("stream"):
            return events(self._events(generation, body, last), done=False)
        # EOS is not among the tokens.
        steps = [step for step in generation.steps if step.token not in self.engine.model.info.eos]
        answer = {
            "content": generation.text,
            "tokens": [step.token for step in steps],
            "tokens_predicted": len(generation.steps),
            "completion_probabilities": [self._scored(step, body) for step in generation.steps],
        }
        if generation.finish == "eos" and not body.get("logit_bias"):
            del answer["completion_probabilities"][-1]
        return JSONResponse({**answer, **last})

    def _grammar(self, body: Mapping[str, Any]) -> str | None:
        """What constrains the text. A schema that is wrong is ignored, as by the real one."""
        if body.get("json_schema") is not None:
            grammar = constraints.of_schema(body["json_schema"])
            return None if constraints.problem(grammar) else grammar
        text = body.get("grammar")
        if not text:
            return None
        if text.startswith("%llguidance") and not self.llguidance:
            raise Refusal(400, _invalid("failed to parse grammar"))
        grammar = constraints.of_grammar(text)
        if constraints.problem(grammar):
            raise Refusal(400, _invalid("Failed to initialize samplers: failed to parse grammar"))
        return grammar

    def _events(
        self, generation: Generation, body: Mapping[str, Any], last: Mapping[str, Any]
    ) -> Iterator[dict[str, Any]]:
        eos = self.engine.model.info.eos
        steps = [step for step in generation.steps if step.token not in eos]
        for count, step in enumerate(steps, 1):
            yield {
                "content": self.engine.decode([step.token]),
                "tokens_predicted": count,
                "completion_probabilities": [self._scored(step, body)],
            }
        yield {"content": "", "tokens_predicted": len(generation.steps), **last}

    def _scored(self, step: Step, body: Mapping[str, Any]) -> dict[str, Any]:
        top = [self._entry(step, token) for token in step.top(body["n_probs"])]
        return {**self._entry(step, step.token), "top_logprobs": top}

    def _entry(self, step: Step, token: int) -> dict[str, Any]:
        raw = list(self.engine.pieces[token])
        logprob = clamped(step.row[token])
        return {"id": token, "token": self.engine.decode([token]), "bytes": raw, "logprob": logprob}
