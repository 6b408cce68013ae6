"""Probing of the completions route: listings, token ids as a prompt, and echo."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from autocog_openai.connection.attempt import attempt
from autocog_openai.connection.server_capabilities import PromptLogprobs, ServerCapabilities
from autocog_openai.routes.completions import top_logprobs_of
from autocog_openai.servers.dialect import ServerDialect
from autocog_openai.tokenizers.load import Tokenizer

PROBE_TEXT = "The quick brown fox jumps over the lazy"
#: How much two log-probabilities of one token may differ: servers batch requests, and round.
LOGPROB_TOLERANCE = 0.1
#: The share of a listing that must be present: tokens with equal text look like one.
MIN_OVERLAP = 0.9
#: Lengths of listings to try. A server that lists the last one lists the whole vocabulary.
LISTING_LENGTHS = (5, 20, 1000)
#: How many tokens of an echo are compared with a listing.
ECHO_SAMPLES = 4


def probe_completions(
    dialect: ServerDialect, capabilities: ServerCapabilities, tokenizer: Tokenizer | None
) -> dict[str, Any]:
    """Return the fields of `ServerCapabilities` that the completions route reveals."""
    body: dict[str, Any] = {
        "model": dialect.model,
        "prompt": PROBE_TEXT,
        "max_tokens": 1,
        "temperature": 0.0,
    }

    def send(**parameters: Any) -> Any:
        return attempt(lambda: dialect.connection.post("v1/completions", {**body, **parameters}))

    if not has_choices(send()):
        return {"completions": False}
    values: dict[str, Any] = {"completions": True}
    listed = 0
    for count in LISTING_LENGTHS:
        length = len(top_logprobs_of(send(logprobs=count, **dialect.listing_parameters)))
        listed = max(listed, length)
        if length < MIN_OVERLAP * count:
            break
    values["max_top_logprobs"] = -1 if listed >= MIN_OVERLAP * LISTING_LENGTHS[-1] else listed
    if tokenizer is not None and not capabilities.token_ids:
        ids = tokenizer.tokenize(PROBE_TEXT, parse_special=False)
        values["token_ids"] = is_same_listing(
            top_logprobs_of(send(prompt=ids, logprobs=5)), top_logprobs_of(send(logprobs=5))
        )
    values["prompt_logprobs"] = _test_echo(send) if listed else "none"
    return values


def has_choices(answer: Any) -> bool:
    """Whether an answer is one of a route that writes text."""
    return isinstance(answer, Mapping) and isinstance(answer.get("choices"), list)


def is_same_listing(first: Mapping[Any, float], second: Mapping[Any, float]) -> bool:
    """Whether two listings are of one position: most tokens are in both, with equal values."""
    shared = first.keys() & second.keys()
    return 2 * len(shared) > max(len(first), len(second)) and all(
        math.isclose(first[name], second[name], abs_tol=LOGPROB_TOLERANCE) for name in shared
    )


def _test_echo(send: Callable[..., Any]) -> PromptLogprobs:
    """Return whether the scores of an echoed prompt obey the chain rule.

    The score of a token must be the one that the text before it lists for this token.
    """
    answer = send(prompt=PROBE_TEXT, echo=True, logprobs=5)
    try:
        logprobs = answer["choices"][0]["logprobs"]
        names, values = logprobs["tokens"], logprobs["token_logprobs"]
    except (KeyError, IndexError, TypeError):
        return "none"
    # The last tokens are generated, and not part of the prompt.
    text, length = "", 0
    while length < len(names) and len(text) < len(PROBE_TEXT):
        text += str(names[length])
        length += 1
    if text != PROBE_TEXT or length < 3:
        return "none"
    scored = [index for index in range(2, length) if values[index] is not None]
    compared = 0
    # The most likely tokens are in the listings, if the scores are right.
    for index in sorted(scored, key=lambda index: -float(values[index]))[:ECHO_SAMPLES]:
        listing = top_logprobs_of(send(prompt="".join(map(str, names[:index])), logprobs=5))
        raw, value = str(names[index]).encode("utf-8"), float(values[index])
        if raw in listing:
            if abs(listing[raw] - value) > LOGPROB_TOLERANCE:
                return "wrong"
            compared += 1
        elif listing and value > min(listing.values()) + LOGPROB_TOLERANCE:
            return "wrong"
    return "right" if compared else "none"
