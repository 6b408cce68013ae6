"""api.openai.com: /v1/chat/completions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

from tests.support.openai.servers import constraints
from tests.support.openai.servers.engine import Engine, Generation, Sampling
from tests.support.openai.servers.openai_errors import (
    TOP_LOGPROBS,
    check_biases,
    check_known,
    check_length,
    check_range,
    check_reasoning,
    check_schema,
    check_stops,
    error,
)
from tests.support.openai.servers.openai_shared import (
    REASONING_TOKENS,
    REFUSAL_TEXT,
    content,
    generate,
    marks,
    reason,
)
from tests.support.openai.servers.replies import deltas, events, flattened, stops

# fmt: off
KNOWN = frozenset({
    "model", "messages", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs",
    "max_tokens", "max_completion_tokens", "metadata", "modalities", "n", "parallel_tool_calls",
    "prediction", "presence_penalty", "prompt_cache_key", "reasoning_effort", "response_format",
    "safety_identifier", "seed", "service_tier", "stop", "store", "stream", "stream_options",
    "temperature", "tool_choice", "tools", "top_p", "user", "verbosity",
})
# fmt: on


def answer(engine: Engine, body: Mapping[str, Any], reasoning: bool) -> Response:
    """The reply to a chat request."""
    _check(body, engine, reasoning)
    messages = flattened(body["messages"])
    tokens = engine.chat(messages)
    left = engine.context_length - len(tokens)
    requested = body.get("max_completion_tokens") or body.get("max_tokens")
    check_length(engine, tokens, requested or 1, "messages")
    cached = engine.begin(tokens)
    hidden = REASONING_TOKENS if reasoning else 0
    refuses, filtered = marks(messages[-1]["content"])
    sampling = Sampling(
        max_tokens=min(requested or left, left),
        temperature=1.0 if body.get("temperature") is None else body["temperature"],
        top_p=1.0 if body.get("top_p") is None else body["top_p"],
        stop=stops(body),
        n=body.get("n") or 1,
        seed=body.get("seed"),
        logit_bias={int(token): bias for token, bias in (body.get("logit_bias") or {}).items()},
        grammar=constraints.of_response_format(body),
        hidden=hidden,
    )
    generations = [] if refuses else generate(engine, tokens, sampling, filtered)
    completed = sum(min(hidden + len(each.steps), sampling.max_tokens) for each in generations)
    usage = {
        "prompt_tokens": len(tokens),
        "completion_tokens": completed,
        "total_tokens": len(tokens) + completed,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": hidden * len(generations)},
    }
    head = {"id": "chatcmpl-1", "created": 0, "model": body["model"], "system_fingerprint": None}
    if body.get("stream"):
        return events(_chunks(engine, head, generations, body, usage, filtered))
    choices = [_choice(engine, i, each, body, filtered) for i, each in enumerate(generations)]
    if refuses:
        message = {"role": "assistant", "content": None, "refusal": REFUSAL_TEXT}
        choices = [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}]
    return JSONResponse({**head, "object": "chat.completion", "choices": choices, "usage": usage})


def _check(body: Mapping[str, Any], engine: Engine, reasoning: bool) -> None:
    check_known(body, KNOWN)
    if reasoning:
        check_reasoning(body)
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise error("Missing required parameter: 'messages'.", param="messages")
    if not messages:
        raise error("Invalid 'messages': empty array.", param="messages", code="empty_array")
    check_range(body, "top_logprobs", 0, TOP_LOGPROBS)
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        message = "Invalid 'top_logprobs': only allowed when 'logprobs' is enabled."
        raise error(message, param="top_logprobs")
    check_range(body, "n", 1, 128)
    check_range(body, "max_completion_tokens", 1)
    check_range(body, "max_tokens", 1)
    check_stops(body)
    check_biases(body, engine)
    if not 0 <= (body.get("temperature") or 0) <= 2:
        raise error("Invalid 'temperature': expected 0 to 2.", param="temperature")
    if body.get("stream_options") and not body.get("stream"):
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise error(message, param="stream_options")
    response_format = body.get("response_format") or {"type": "text"}
    if response_format.get("type") == "json_schema":
        named = response_format.get("json_schema") or {}
        check_schema(named.get("schema"), str(named.get("name")))
        if message := constraints.problem(constraints.of_response_format(body)):
            raise error(f"Invalid schema: {message}", param="response_format")
    elif response_format.get("type") != "text":
        message = f"Invalid value: '{response_format.get('type')}'."
        raise error(message, param="response_format.type", code="invalid_value")


def _choice(
    engine: Engine, index: int, generation: Generation, body: Mapping[str, Any], filtered: bool
) -> dict[str, Any]:
    logprobs = None
    if body.get("logprobs"):
        count = body.get("top_logprobs") or 0
        entries = [content(engine, step, count) for step in generation.steps]
        logprobs = {"content": entries, "refusal": None}
    return {
        "index": index,
        "message": {
            "role": "assistant",
            "content": generation.text,
            "refusal": None,
            "annotations": [],
        },
        "logprobs": logprobs,
        "finish_reason": reason(generation, filtered),
    }


def _chunks(
    engine: Engine,
    head: Mapping[str, Any],
    generations: list[Generation],
    body: Mapping[str, Any],
    usage: Mapping[str, Any],
    filtered: bool,
) -> Iterator[dict[str, Any]]:
    has_usage = bool((body.get("stream_options") or {}).get("include_usage"))

    def chunk(index: int, delta: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None, **more}
        made = {**head, "object": "chat.completion.chunk", "choices": [choice]}
        return made | ({"usage": None} if has_usage else {})

    if not generations:
        yield chunk(0, {"role": "assistant", "content": None, "refusal": ""})
        yield chunk(0, {"refusal": REFUSAL_TEXT})
        yield chunk(0, {}, finish_reason="stop")
    for index, generation in enumerate(generations):
        yield chunk(index, {"role": "assistant", "content": "", "refusal": None})
        for text, step in deltas(engine, generation):
            logprobs = None
            if step is not None and body.get("logprobs"):
                count = body.get("top_logprobs") or 0
                logprobs = {"content": [content(engine, step, count)], "refusal": None}
            yield chunk(index, {"content": text}, logprobs=logprobs)
        yield chunk(index, {}, finish_reason=reason(generation, filtered))
    if has_usage:
        yield {**head, "object": "chat.completion.chunk", "choices": [], "usage": usage}
