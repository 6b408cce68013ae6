"""vLLM's answers as streams of chunks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.support.openai.servers.engine import Generation
from tests.support.openai.servers.replies import deltas
from tests.support.openai.servers.vllm_logprobs import Names, chat_content, completion_logprobs


def completion_chunks(
    head: Mapping[str, Any],
    names: Names,
    choices: list[dict[str, Any]],
    generations: list[Generation],
    body: Mapping[str, Any],
    usage: Mapping[str, Any],
) -> Iterator[dict[str, Any]]:
    """Those of a completions request, choice by choice."""
    for choice, generation in zip(choices, generations, strict=True):
        pieces = list(deltas(names.engine, generation)) or [("", None)]
        if body.get("echo") and choice["text"]:
            before = choice["text"].removesuffix(generation.text)
            yield {**head, "choices": [_delta(choice["index"], text=before)]}
        for number, (text, step) in enumerate(pieces):
            last = number == len(pieces) - 1
            chunk = _delta(choice["index"], text=text)
            if step is not None and body.get("logprobs") is not None:
                logprobs = completion_logprobs(names, [step.token], [], [step], body)
                chunk["logprobs"] = logprobs
            if step is not None and body.get("return_token_ids"):
                chunk["token_ids"] = [step.token]
            if last:
                chunk["finish_reason"] = choice["finish_reason"]
                chunk["stop_reason"] = choice["stop_reason"]
            yield {**head, "choices": [chunk]}
    if (body.get("stream_options") or {}).get("include_usage"):
        yield {**head, "choices": [], "usage": usage}


def chat_chunks(
    head: Mapping[str, Any],
    names: Names,
    generations: list[Generation],
    body: Mapping[str, Any],
    usage: Mapping[str, Any],
) -> Iterator[dict[str, Any]]:
    """Those of a chat request, choice by choice."""
    head = {**head, "object": "chat.completion.chunk"}
    for number, generation in enumerate(generations):
        role = {"role": "assistant", "content": ""}
        yield {**head, "choices": [_delta(number, delta=role)]}
        pieces = list(deltas(names.engine, generation)) or [("", None)]
        for place, (text, step) in enumerate(pieces):
            chunk = _delta(number, delta={"content": text})
            if step is not None and body.get("logprobs"):
                chunk["logprobs"] = {"content": [chat_content(names, step, body)]}
            if place == len(pieces) - 1:
                chunk["finish_reason"] = reason(generation)
                chunk["stop_reason"] = generation.stop
            yield {**head, "choices": [chunk]}
    if (body.get("stream_options") or {}).get("include_usage"):
        yield {**head, "choices": [], "usage": usage}


def _delta(index: int, **content: Any) -> dict[str, Any]:
    return {"index": index, "logprobs": None, "finish_reason": None, **content}


def reason(generation: Generation) -> str:
    """The finish reason."""
    return "length" if generation.finish == "length" else "stop"
