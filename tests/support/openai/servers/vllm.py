"""vLLM's OpenAI-compatible server: completions, chat, and its own tokenize routes.

Follows vLLM 0.28 (August 2026), vllm/entrypoints: openai/completion/protocol.py and serving.py,
openai/chat_completion/protocol.py, serve/tokenize/protocol.py; sampling_params.py for the limits.
Log-probabilities are the model's own, before biases, masks and temperature (`raw_logprobs`, the
default). `logprob_token_ids` came to these routes in July 2026: `named_tokens=False` is a server
from before, which ignores it as it ignores every field that it does not know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.openai.servers.engine import Engine, Generation
from tests.support.openai.servers.replies import Refusal, as_prompts, events, flattened, refused
from tests.support.openai.servers.serving import ModelServer
from tests.support.openai.servers.vllm_checks import (
    check_chat,
    check_completion,
    error,
    sampling_of,
)
from tests.support.openai.servers.vllm_logprobs import (
    Names,
    chat_content,
    completion_logprobs,
    prompt_entries,
)
from tests.support.openai.servers.vllm_streams import chat_chunks, completion_chunks, reason

VERSION = "0.28.0"


class VLLM(ModelServer):
    """A vLLM server with one model.

    :param model_name: what it is served as.
    :param max_logprobs: the limit likely tokens that may be count for (`--max-logprobs`; -1: all).
    :param named_tokens: whether it knows `logprob_token_ids`.
    :param structured: whether it knows `structured_outputs`.
    :param guided: whether it knows `guided_regex` and the like, as releases before 0.12 do.
    :param cached_tokens: whether usage tells them (`--enable-prompt-tokens-details`).
    """

    def __init__(
        self,
        engine: Engine | None = None,
        *,
        model_name: str = "random",
        max_logprobs: int = 20,
        named_tokens: bool = True,
        cached_tokens: bool = True,
        structured: bool = True,
        guided: bool = False,
    ) -> None:
        self.model_name = model_name
        self.max_logprobs = max_logprobs
        self.named_tokens = named_tokens
        self.cached_tokens = cached_tokens
        self.structured = structured
        self.guided = guided
        routes = [
            Route("/v1/models", self.models),
            Route("/v1/completions", self.completions, methods=["POST"]),
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
            Route("/tokenize", self.tokenize, methods=["POST"]),
            Route("/detokenize", self.detokenize, methods=["POST"]),
            Route("/version", self.version),
            Route("/health", self.health),
        ]
        super().__init__(engine or Engine(), routes, exception_handlers={Refusal: refused})

    async def models(self, request: Request) -> Response:
        card = {"id": self.model_name, "object": "model", "created": 0, "owned_by": "vllm"}
        card |= {"root": self.model_name, "parent": None}
        return JSONResponse(
            {
                "object": "list",
                "data": [card | {"max_model_len": self.engine.context_length}],
            }
        )

    async def version(self, request: Request) -> Response:
        return JSONResponse({"version": VERSION})

    async def health(self, request: Request) -> Response:
        return Response()

    async def tokenize(self, request: Request) -> Response:
        body = await request.json()
        if "messages" in body:
            tokens = self._chat_tokens(body)
        elif isinstance(body.get("prompt"), str):
            tokens = self.engine.encode(body["prompt"], body.get("add_special_tokens", True))
        else:
            raise error("Field required", param="prompt")
        reply = {
            "count": len(tokens),
            "max_model_len": self.engine.context_length,
            "tokens": tokens,
            "token_strs": None,
        }
        if body.get("return_token_strs"):
            reply["token_strs"] = [self.engine.decode([token]) for token in tokens]
        return JSONResponse(reply)

    async def detokenize(self, request: Request) -> Response:
        body = await request.json()
        tokens = body.get("tokens")
        if not isinstance(tokens, list):
            raise error("Field required", param="tokens")
        if any(not 0 <= token < self.engine.size for token in tokens):
            raise error("Token id is out of vocabulary", param="tokens")
        return JSONResponse({"prompt": self.engine.decode(tokens)})

    async def completions(self, request: Request) -> Response:
        body = await self._body(request)
        check_completion(body, self.engine, self.max_logprobs)
        echo = bool(body.get("echo"))
        max_tokens = body["max_tokens"] if body.get("max_tokens") is not None else 16
        sampling = sampling_of(body, self.engine, max_tokens)
        names = Names(self.engine, bool(body.get("return_tokens_as_token_ids")))
        count = body.get("prompt_logprobs")
        if count is None and echo:
            count = body.get("logprobs")

        choices: list[dict[str, Any]] = []
        generations: list[Generation] = []
        prompt_tokens = cached = 0
        for prompt in as_prompts(body["prompt"]):
            ids = self._prompt(prompt, body, max_tokens)
            prompt_tokens += len(ids)
            # The cache keeps no log-probabilities: with those of the prompt, all is evaluated.
            # Usage tells of the last prompt only.
            cached = self.engine.begin(ids, None if count is None else 0)
            scored = None if count is None else prompt_entries(self.engine, ids, count)
            for generation in self.engine.generate(ids, sampling):
                tokens = ids + generation.tokens if echo else generation.tokens
                text = generation.text
                if echo and not body.get("return_token_ids"):
                    text = self.engine.decode(ids, skip_special_tokens=True) + text
                choice: dict[str, Any] = {
                    "index": len(choices),
                    "text": text,
                    "logprobs": None,
                    "finish_reason": reason(generation),
                    "stop_reason": generation.stop,
                    "token_ids": generation.tokens if body.get("return_token_ids") else None,
                    "prompt_logprobs": scored and names.keyed(scored),
                    "prompt_token_ids": ids if body.get("return_token_ids") else None,
                }
                if body.get("logprobs") is not None:
                    known = scored if echo and scored else []
                    steps = generation.steps
                    choice["logprobs"] = completion_logprobs(names, tokens, known, steps, body)
                choices.append(choice)
                generations.append(generation)
        completed = sum(len(each.steps) for each in generations)
        usage = self._usage(prompt_tokens, completed, cached)
        head = {"id": "cmpl-1", "object": "text_completion", "created": 0}
        head |= {"model": self.model_name}
        if body.get("stream"):
            chunks = completion_chunks(head, names, choices, generations, body, usage)
            return events(chunks)
        return JSONResponse(head | {"choices": choices, "usage": usage})

    async def chat(self, request: Request) -> Response:
        body = await self._body(request)
        check_chat(body, self.engine, self.max_logprobs)
        ids = self._chat_tokens(body)
        left = self.engine.context_length - len(ids)
        count = body.get("max_completion_tokens") or body.get("max_tokens")
        self._check_length(ids, count or 1, "messages")
        sampling = sampling_of(body, self.engine, min(count or left, left))
        names = Names(self.engine, bool(body.get("return_tokens_as_token_ids")))
        cached = self.engine.begin(ids)
        generations = self.engine.generate(ids, sampling)
        completed = sum(len(each.steps) for each in generations)
        usage = self._usage(len(ids), completed, cached)
        head = {"id": "chatcmpl-1", "created": 0, "model": self.model_name}
        if body.get("stream"):
            return events(chat_chunks(head, names, generations, body, usage))
        choices = [
            {
                "index": number,
                "message": {"role": "assistant", "content": generation.text, "refusal": None},
                "logprobs": {"content": [chat_content(names, s, body) for s in generation.steps]}
                if body.get("logprobs")
                else None,
                "finish_reason": reason(generation),
                "stop_reason": generation.stop,
                "token_ids": generation.tokens if body.get("return_token_ids") else None,
            }
            for number, generation in enumerate(generations)
        ]
        reply = head | {"object": "chat.completion", "choices": choices, "usage": usage}
        prompt_ids = ids if body.get("return_token_ids") else None
        return JSONResponse(reply | {"prompt_logprobs": None, "prompt_token_ids": prompt_ids})

    async def _body(self, request: Request) -> dict[str, Any]:
        try:
            body = await request.json()
        except ValueError:
            raise error("JSON decode error") from None
        if body.get("model") not in (None, self.model_name):
            message = f"The model `{body['model']}` does not exist."
            raise error(message, param="model", status=404)
        if not self.named_tokens:
            body.pop("logprob_token_ids", None)
        if not self.structured:
            body.pop("structured_outputs", None)
        if not self.guided:
            body = {name: each for name, each in body.items() if not name.startswith("guided_")}
        await asyncio.sleep(self.engine.delay)
        return dict(body)

    def _prompt(
        self, prompt: str | list[int], body: Mapping[str, Any], max_tokens: int
    ) -> list[int]:
        if isinstance(prompt, str):
            ids = self.engine.encode(prompt, body.get("add_special_tokens", True))
        else:
            ids = list(prompt)
            if any(not 0 <= token < self.engine.size for token in ids):
                raise error(f"Token id {max(ids)} is out of vocabulary")
        self._check_length(ids, max_tokens, "prompt")
        return ids

    def _check_length(self, ids: list[int], max_tokens: int, param: str) -> None:
        limit = self.engine.context_length
        if len(ids) + max_tokens > limit:
            raise error(
                f"This model's maximum context length is {limit} tokens. However, you requested "
                f"{max_tokens} output tokens and your prompt contains {len(ids)} input tokens, for "
                f"a total of {len(ids) + max_tokens} tokens. Please reduce the length of the input "
                "prompt or the number of requested output tokens.",
                param="input_tokens" if param == "prompt" else param,
            )

    def _chat_tokens(self, body: Mapping[str, Any]) -> list[int]:
        continued = bool(body.get("continue_final_message"))
        prompted = body.get("add_generation_prompt", True)
        if continued and prompted:
            raise error(
                "Cannot set both `continue_final_message` and `add_generation_prompt` to True."
            )
        messages = flattened(body["messages"])
        if continued and messages[-1]["role"] != "assistant":
            raise error("continue_final_message is set but the final message is not continuable")
        return self.engine.chat(messages, generation_prompt=prompted, open_last=continued)

    def _usage(self, prompt: int, completed: int, cached: int) -> dict[str, Any]:
        usage: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": completed}
        details = {"cached_tokens": cached} if self.cached_tokens else None
        return usage | {"total_tokens": prompt + completed, "prompt_tokens_details": details}
