"""SGLang's OpenAI-compatible routes: completions and chat.

Tokens go by their texts, for which there is no alternative; unknown fields are ignored. A message
to be continued stands right after the generation prompt, without the template's blank.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from starlette.responses import JSONResponse, Response

from tests.support.openai.servers import constraints
from tests.support.openai.servers.engine import Engine, Generation, Row, Sampling, Step
from tests.support.openai.servers.replies import (
    Refusal,
    as_prompts,
    clamped,
    deltas,
    events,
    flattened,
    stops,
)
from tests.support.openai.servers.sglang_generate import structured

Answer = Callable[[Engine, Mapping[str, Any]], Response]


def error(message: str) -> Refusal:
    """A refusal: its code is the HTTP status, and nothing is nested."""
    body = {"object": "error", "message": message, "type": "BadRequestError"}
    return Refusal(400, body | {"param": None, "code": 400})


def completions(engine: Engine, body: Mapping[str, Any]) -> Response:
    """The reply to a completions request."""
    if not body.get("prompt"):
        raise error("Prompt cannot be empty")
    sampling = _sampling(body, 16 if body.get("max_tokens") is None else body["max_tokens"])
    head = {"id": "1", "object": "text_completion", "created": 0, "model": body["model"]}
    choices: list[dict[str, Any]] = []
    generations: list[Generation] = []
    prompt_tokens = cached = 0
    for prompt in as_prompts(body["prompt"]):
        tokens = engine.encode(prompt) if isinstance(prompt, str) else prompt
        _check_length(engine, tokens, sampling.max_tokens)
        echo, requested = bool(body.get("echo")), body.get("logprobs")
        prompt_tokens += len(tokens)
        cached += engine.begin(tokens, 0 if echo and requested is not None else None)
        for generation in engine.generate(tokens, sampling):
            text = engine.decode(tokens, skip_special_tokens=True) if echo else ""
            scored: list[tuple[int, Row | None]] = []
            if echo:
                scored = [(tokens[0], None), *engine.rows(tokens)]
            scored += [(step.token, step.processed) for step in generation.steps]
            choice = {
                "index": len(choices),
                "text": text + generation.text,
                "logprobs": None if requested is None else _legacy(engine, scored, requested),
            }
            choices.append(choice | _end(generation))
            generations.append(generation)
    usage = _usage(prompt_tokens, generations, cached)
    if body.get("stream"):
        return events(_completion_chunks(engine, head, choices, generations, body, usage))
    return JSONResponse({**head, "choices": choices, "usage": usage})


def chat(engine: Engine, body: Mapping[str, Any]) -> Response:
    """The reply to a chat request."""
    if not body.get("messages"):
        raise error("Messages cannot be empty.")
    messages = flattened(body["messages"])
    opened = bool(body.get("continue_final_message")) and messages[-1]["role"] == "assistant"
    tokens = engine.chat(messages, open_last=opened, gap="")
    left = engine.context_length - len(tokens)
    requested = body.get("max_completion_tokens") or body.get("max_tokens")
    _check_length(engine, tokens, requested or 1)
    cached = engine.begin(tokens)
    generations = engine.generate(tokens, _sampling(body, requested or left))
    usage = _usage(len(tokens), generations, cached)
    head = {"id": "1", "created": 0, "model": body["model"]}
    if body.get("stream"):
        return events(_chat_chunks(engine, head, generations, body, usage))
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", "content": generation.text, "tool_calls": None},
            "logprobs": _content(engine, generation.steps, body),
            **_end(generation),
        }
        for index, generation in enumerate(generations)
    ]
    reply = {**head, "object": "chat.completion", "choices": choices, "usage": usage}
    return JSONResponse(reply)


ROUTES: dict[str, Answer] = {"completions": completions, "chat/completions": chat}


def _sampling(body: Mapping[str, Any], max_tokens: int) -> Sampling:
    bias = body.get("logit_bias") or {}
    grammar = structured(body) or constraints.of_response_format(body)
    if message := constraints.problem(grammar):
        raise error(f"Failed to compile the grammar: {message}")
    return Sampling(
        max_tokens=max_tokens,
        temperature=1.0 if body.get("temperature") is None else body["temperature"],
        top_p=1.0 if body.get("top_p") is None else body["top_p"],
        top_k=max(0, body.get("top_k") or 0),
        min_p=body.get("min_p") or 0.0,
        stop=stops(body),
        n=body.get("n") or 1,
        seed=body.get("seed"),
        logit_bias={int(token): each for token, each in bias.items()},
        grammar=grammar,
        ignore_eos=bool(body.get("ignore_eos")),
    )


def _check_length(engine: Engine, tokens: Sequence[int], beyond: int) -> None:
    if len(tokens) + beyond > engine.context_length:
        raise error(
            f"Requested token count exceeds the model's maximum context length of "
            f"{engine.context_length} tokens."
        )


def _legacy(engine: Engine, scored: Sequence[tuple[int, Row | None]], count: int) -> dict[str, Any]:
    def top(row: Row) -> dict[str, float]:
        top_tokens = (-row).argsort(kind="stable")[:count]
        return {engine.decode([int(token)]): clamped(row[token]) for token in top_tokens}

    return {
        "text_offset": [-1] * len(scored),
        "tokens": [engine.decode([token]) for token, _ in scored],
        "token_logprobs": [None if row is None else clamped(row[token]) for token, row in scored],
        "top_logprobs": [None if row is None else top(row) for _, row in scored],
    }


def _content(
    engine: Engine, steps: Sequence[Step], body: Mapping[str, Any]
) -> dict[str, Any] | None:
    if not body.get("logprobs"):
        return None

    def entry(row: Row, token: int) -> dict[str, Any]:
        text = engine.decode([token])
        return {"token": text, "bytes": list(text.encode()), "logprob": clamped(row[token])}

    count = body.get("top_logprobs") or 0
    return {
        "content": [
            entry(step.processed, step.token)
            | {
                "top_logprobs": [
                    entry(step.processed, int(token))
                    for token in (-step.processed).argsort(kind="stable")[:count]
                ]
            }
            for step in steps
        ]
    }


def _end(generation: Generation) -> dict[str, Any]:
    if generation.finish == "length":
        return {"finish_reason": "length", "matched_stop": None}
    matched = generation.stop if generation.finish == "stop" else generation.tokens[-1]
    return {"finish_reason": "stop", "matched_stop": matched}


def _usage(prompt: int, generations: Sequence[Generation], cached: int) -> dict[str, Any]:
    completed = sum(len(each.steps) for each in generations)
    usage = {"prompt_tokens": prompt, "completion_tokens": completed}
    usage |= {"total_tokens": prompt + completed}
    return usage | {"prompt_tokens_details": {"cached_tokens": cached}}


def _completion_chunks(
    engine: Engine,
    head: Mapping[str, Any],
    choices: Sequence[Mapping[str, Any]],
    generations: Sequence[Generation],
    body: Mapping[str, Any],
    usage: Mapping[str, Any],
) -> Iterator[dict[str, Any]]:
    requested = body.get("logprobs")
    for index, (choice, generation) in enumerate(zip(choices, generations, strict=True)):
        echoed = choice["text"].removesuffix(generation.text)
        for text, step in [(echoed, None), *deltas(engine, generation)]:
            logprobs = None
            if step is not None and requested is not None:
                logprobs = _legacy(engine, [(step.token, step.processed)], requested)
            part = {"index": index, "text": text, "logprobs": logprobs, "finish_reason": None}
            yield {**head, "choices": [part]}
        end = {"index": index, "text": "", "logprobs": None, **_end(generation)}
        yield {**head, "choices": [end]}
    if (body.get("stream_options") or {}).get("include_usage"):
        yield {**head, "choices": [], "usage": usage}


def _chat_chunks(
    engine: Engine,
    head: Mapping[str, Any],
    generations: Sequence[Generation],
    body: Mapping[str, Any],
    usage: Mapping[str, Any],
) -> Iterator[dict[str, Any]]:
    head = {**head, "object": "chat.completion.chunk"}
    for index, generation in enumerate(generations):
        first = {"index": index, "delta": {"role": "assistant", "content": ""}}
        yield {**head, "choices": [first | {"finish_reason": None}]}
        for text, step in deltas(engine, generation):
            logprobs = None if step is None else _content(engine, [step], body)
            part = {"index": index, "delta": {"content": text}, "logprobs": logprobs}
            yield {**head, "choices": [part | {"finish_reason": None}]}
        yield {**head, "choices": [{"index": index, "delta": {}, **_end(generation)}]}
    if (body.get("stream_options") or {}).get("include_usage"):
        yield {**head, "choices": [], "usage": usage}
