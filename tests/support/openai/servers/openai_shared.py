"""What the routes of api.openai.com share: log-probabilities as they write them, generating."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tests.support.openai.servers.engine import Engine, Generation, Sampling, Step
from tests.support.openai.servers.openai_errors import TOP_LOGPROBS
from tests.support.openai.servers.replies import LEAST

#: Tokens that a reasoning model spends before its answer.
REASONING_TOKENS = 8
REFUSAL_TEXT = "I'm sorry, but I can't help with that."

#: A last message that holds one of these is refused, or its answer is cut by the content filter.
REFUSE, FILTER = "[please refuse]", "[please filter]"


def marks(text: str) -> tuple[bool, bool]:
    """Whether a last message is to be refused, and whether its answer is to be filtered."""
    return REFUSE in text, FILTER in text


def token_text(engine: Engine, token: int) -> str:
    """A token's text; bytes that are no character by themselves are escaped."""
    text = engine.decode([token])
    return "".join(f"\\x{byte:02x}" for byte in engine.pieces[token]) if "\ufffd" in text else text


def entry(engine: Engine, token: int, logprob: float) -> dict[str, Any]:
    """A token with its log-probability; special tokens stand for no bytes."""
    raw = list(engine.pieces[token]) or None
    return {"token": token_text(engine, token), "logprob": float(logprob), "bytes": raw}


def content(engine: Engine, step: Step, count: int) -> dict[str, Any]:
    """An entry with the likeliest tokens; how unlikely an unlikely token is, is not told."""
    logprob = step.logprob if step.token in step.top(TOP_LOGPROBS) else LEAST
    top = [entry(engine, token, step.row[token]) for token in step.top(count)]
    return entry(engine, step.token, logprob) | {"top_logprobs": top}


def generate(
    engine: Engine, prompt: Sequence[int], sampling: Sampling, filtered: bool
) -> list[Generation]:
    """Completions; one that the content filter cuts has but two tokens.

    EOS is left out: the API does not show it.
    """
    if filtered:
        sampling = replace(sampling, max_tokens=min(2 + sampling.hidden, sampling.max_tokens))
    found = engine.generate(prompt, sampling)
    return [
        replace(each, steps=each.steps[:-1]) if each.finish == "eos" else each for each in found
    ]


def reason(generation: Generation, filtered: bool) -> str:
    """The finish reason."""
    if filtered:
        return "content_filter"
    return "length" if generation.finish == "length" else "stop"
