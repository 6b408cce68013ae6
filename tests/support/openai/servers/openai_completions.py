"""api.openai.com: /v1/completions, of which only instruct models are left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

from tests.support.openai.servers.engine import Engine, Generation, Sampling, Step
from tests.support.openai.servers.openai_errors import (
    check_biases,
    check_known,
    check_length,
    check_range,
    check_stops,
    error,
)
from tests.support.openai.servers.openai_shared import generate, reason, token_text
from tests.support.openai.servers.replies import as_prompts, clamped, deltas, events, stops

# fmt: off
KNOWN = frozenset({
    "model", "prompt", "best_of", "echo", "frequency_penalty", "logit_bias", "logprobs",
    "max_tokens", "n", "presence_penalty", "seed", "stop", "stream", "stream_options", "suffix",
    "temperature", "top_p", "user",
})
# fmt: on


def answer(engine: Engine, body: Mapping[str, Any], reasoning: bool) -> Response:
    """The reply to a completions request."""
    check_known(body, KNOWN)
    if not body.get("prompt"):
        raise error("Missing required parameter: 'prompt'.", param="prompt")
    check_range(body, "logprobs", 0, 5)
    if body.get("echo") and body.get("logprobs") is not None:
        message = "'echo' with 'logprobs' is not supported by this model."
        raise error(message, param="echo", code="unsupported_parameter")
    check_stops(body)
    check_biases(body, engine)
    sampling = Sampling(
        max_tokens=16 if body.get("max_tokens") is None else body["max_tokens"],
        temperature=1.0 if body.get("temperature") is None else body["temperature"],
        top_p=1.0 if body.get("top_p") is None else body["top_p"],
        stop=stops(body),
        n=body.get("n") or 1,
        seed=body.get("seed"),
        logit_bias={int(token): bias for token, bias in (body.get("logit_bias") or {}).items()},
    )
    found: list[tuple[str, Generation]] = []
    prompt_tokens = cached = 0
    for prompt in as_prompts(body["prompt"]):
        tokens = engine.encode(prompt) if isinstance(prompt, str) else prompt
        check_length(engine, tokens, sampling.max_tokens, "prompt")
        prompt_tokens += len(tokens)
        cached += engine.begin(tokens)
        echoed = engine.decode(tokens, skip_special_tokens=True) if body.get("echo") else ""
        found += [(echoed, each) for each in generate(engine, tokens, sampling, False)]
    completed = sum(len(each.steps) for _, each in found)
    usage = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completed,
        "total_tokens": prompt_tokens + completed,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    head = {"id": "cmpl-1", "object": "text_completion", "created": 0, "model": body["model"]}
    if body.get("stream"):
        return events(_chunks(engine, head, found, body, usage))
    choices = [
        {
            "index": index,
            "text": echoed + generation.text,
            "logprobs": _logprobs(engine, generation.steps, body),
            "finish_reason": reason(generation, False),
        }
        for index, (echoed, generation) in enumerate(found)
    ]
    return JSONResponse({**head, "choices": choices, "usage": usage})


def _logprobs(engine: Engine, steps: list[Step], body: Mapping[str, Any]) -> dict[str, Any] | None:
    if body.get("logprobs") is None:
        return None
    names = [token_text(engine, step.token) for step in steps]
    return {
        "tokens": names,
        "token_logprobs": [clamped(step.logprob) for step in steps],
        "top_logprobs": [
            {
                token_text(engine, token): clamped(step.row[token])
                for token in [*step.top(body["logprobs"]), step.token]
            }
            for step in steps
        ],
        "text_offset": [len("".join(names[:number])) for number in range(len(names))],
    }


def _chunks(
    engine: Engine,
    head: Mapping[str, Any],
    found: list[tuple[str, Generation]],
    body: Mapping[str, Any],
    usage: Mapping[str, Any],
) -> Iterator[dict[str, Any]]:
    for index, (echoed, generation) in enumerate(found):
        for text, step in [(echoed, None), *deltas(engine, generation)]:
            logprobs = None if step is None else _logprobs(engine, [step], body)
            choice = {"index": index, "text": text, "logprobs": logprobs, "finish_reason": None}
            yield {**head, "choices": [choice]}
        last = {"index": index, "text": "", "logprobs": None}
        yield {**head, "choices": [last | {"finish_reason": reason(generation, False)}]}
    if (body.get("stream_options") or {}).get("include_usage"):
        yield {**head, "choices": [], "usage": usage}
