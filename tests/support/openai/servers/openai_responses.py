"""api.openai.com: /v1/responses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

from tests.support.openai.servers import constraints
from tests.support.openai.servers.engine import Engine, Generation, Sampling
from tests.support.openai.servers.openai_errors import (
    TOP_LOGPROBS,
    check_known,
    check_length,
    check_range,
    check_reasoning,
    check_schema,
    error,
)
from tests.support.openai.servers.openai_shared import (
    REASONING_TOKENS,
    REFUSAL_TEXT,
    content,
    generate,
    marks,
)
from tests.support.openai.servers.replies import deltas, events, flattened

# fmt: off
KNOWN = frozenset({
    "model", "input", "instructions", "background", "conversation", "include",
    "max_output_tokens", "max_tool_calls", "metadata", "parallel_tool_calls",
    "previous_response_id", "prompt", "prompt_cache_key", "reasoning", "safety_identifier",
    "service_tier", "store", "stream", "stream_options", "temperature", "text", "tool_choice",
    "tools", "top_logprobs", "top_p", "truncation", "user",
})
# fmt: on
LOGPROBS = "message.output_text.logprobs"
LEAST_TOKENS = 16


def answer(engine: Engine, body: Mapping[str, Any], reasoning: bool) -> Response:
    """The reply to a responses request; its instructions are a system message."""
    grammar = _check(body, reasoning)
    value = body["input"]
    messages = [{"role": "user", "content": value}] if isinstance(value, str) else flattened(value)
    if body.get("instructions"):
        messages.insert(0, {"role": "system", "content": body["instructions"]})
    tokens = engine.chat(messages)
    left = engine.context_length - len(tokens)
    requested = body.get("max_output_tokens")
    check_length(engine, tokens, requested or 1, "input")
    cached = engine.begin(tokens)
    hidden = REASONING_TOKENS if reasoning else 0
    refuses, filtered = marks(messages[-1]["content"])
    sampling = Sampling(
        max_tokens=min(requested or left, left),
        temperature=1.0 if body.get("temperature") is None else body["temperature"],
        top_p=1.0 if body.get("top_p") is None else body["top_p"],
        grammar=grammar,
        hidden=hidden,
    )
    generation = None if refuses else generate(engine, tokens, sampling, filtered)[0]
    completed = 0 if generation is None else hidden + len(generation.steps)
    usage = {
        "input_tokens": len(tokens),
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
        "output_tokens": completed,
        "output_tokens_details": {"reasoning_tokens": hidden},
        "total_tokens": len(tokens) + completed,
    }
    reply = _reply(engine, generation, body, hidden, filtered) | {"usage": usage}
    if body.get("stream"):
        return events(_events(engine, reply, generation, body), named=True, done=False)
    return JSONResponse(reply)


def _check(body: Mapping[str, Any], reasoning: bool) -> str | None:
    """Refuse what is wrong; the grammar of the output's format, None where it is free."""
    check_known(body, KNOWN)
    if reasoning:
        requested = LOGPROBS in (body.get("include") or ())
        check_reasoning({**body, "logprobs": requested})
    if not body.get("input"):
        message = "Missing required parameter: 'input'."
        raise error(message, param="input", code="missing_required_parameter")
    check_range(body, "max_output_tokens", LEAST_TOKENS)
    check_range(body, "top_logprobs", 0, TOP_LOGPROBS)
    output_format = (body.get("text") or {}).get("format") or {"type": "text"}
    if output_format["type"] == "text":
        return None
    if output_format["type"] != "json_schema":
        message = f"Invalid value: '{output_format['type']}'."
        raise error(message, param="text.format.type", code="invalid_value")
    check_schema(output_format.get("schema"), str(output_format.get("name")))
    return constraints.of_schema(output_format["schema"])


def _reply(
    engine: Engine,
    generation: Generation | None,
    body: Mapping[str, Any],
    hidden: int,
    filtered: bool,
) -> dict[str, Any]:
    cut = None
    if generation is not None and generation.finish == "length":
        cut = "content_filter" if filtered else "max_output_tokens"
    status = "completed" if cut is None else "incomplete"
    part: dict[str, Any] = {"type": "refusal", "refusal": REFUSAL_TEXT}
    if generation is not None:
        part = _text_part(engine, generation, body)
    output: list[dict[str, Any]] = []
    if hidden:
        output.append({"type": "reasoning", "id": "rs_1", "summary": []})
    # A budget that reasoning used up leaves no message.
    if generation is None or generation.steps:
        message = {"type": "message", "id": "msg_1", "role": "assistant", "status": status}
        output.append(message | {"content": [part]})
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 0,
        "status": status,
        "error": None,
        "incomplete_details": None if cut is None else {"reason": cut},
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "metadata": {},
        "model": body["model"],
        "output": output,
        "parallel_tool_calls": True,
        "temperature": body.get("temperature", 1.0),
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": body.get("top_p", 1.0),
        "usage": None,
    }


def _text_part(engine: Engine, generation: Generation, body: Mapping[str, Any]) -> dict[str, Any]:
    steps = generation.steps if LOGPROBS in (body.get("include") or ()) else []
    count = body.get("top_logprobs") or 0
    entries = [content(engine, step, count) for step in steps]
    for each in entries:
        for one in [each, *each["top_logprobs"]]:
            one["bytes"] = one["bytes"] or []
    return {
        "type": "output_text",
        "text": generation.text,
        "annotations": [],
        "logprobs": entries,
    }


def _events(
    engine: Engine,
    reply: Mapping[str, Any],
    generation: Generation | None,
    body: Mapping[str, Any],
) -> Iterator[dict[str, Any]]:
    for number, event in enumerate(_unnumbered(engine, reply, generation, body)):
        yield {**event, "sequence_number": number}


def _unnumbered(
    engine: Engine,
    reply: Mapping[str, Any],
    generation: Generation | None,
    body: Mapping[str, Any],
) -> Iterator[dict[str, Any]]:
    begun = {**reply, "status": "in_progress", "output": [], "usage": None}
    begun["incomplete_details"] = None
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(reply["output"]):
        place = {"output_index": index}
        opened = {**item, "status": "in_progress", "content": []}
        if item["type"] == "reasoning":
            opened = item
        yield {"type": "response.output_item.added", **place, "item": opened}
        for part in item.get("content", ()):
            yield from _part(engine, place, item["id"], part, generation, body)
        yield {"type": "response.output_item.done", **place, "item": item}
    yield {"type": f"response.{reply['status']}", "response": reply}


def _part(
    engine: Engine,
    place: Mapping[str, int],
    item: str,
    part: Mapping[str, Any],
    generation: Generation | None,
    body: Mapping[str, Any],
) -> Iterator[dict[str, Any]]:
    where = {**place, "item_id": item, "content_index": 0}
    if generation is None:
        empty = {**part, "refusal": ""}
        yield {"type": "response.content_part.added", **where, "part": empty}
        yield {"type": "response.refusal.delta", **where, "delta": part["refusal"]}
        yield {"type": "response.refusal.done", **where, "refusal": part["refusal"]}
    else:
        empty = {**part, "text": "", "logprobs": []}
        yield {"type": "response.content_part.added", **where, "part": empty}
        for text, step in deltas(engine, generation):
            one = Generation([] if step is None else [step], b"", "length")
            logprobs = _text_part(engine, one, body)["logprobs"]
            delta = {"delta": text, "logprobs": logprobs}
            yield {"type": "response.output_text.delta", **where, **delta}
        done = {"text": part["text"], "logprobs": part["logprobs"]}
        yield {"type": "response.output_text.done", **where, **done}
    yield {"type": "response.content_part.done", **where, "part": part}
