"""Probing of the chat route: listings, prefill, bias, and constrained answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from autocog_core import AutocogError
from autocog_openai.connection.attempt import attempt
from autocog_openai.connection.errors import UnsupportedError
from autocog_openai.connection.server_capabilities import ServerCapabilities
from autocog_openai.model.probe_completions import (
    LOGPROB_TOLERANCE,
    PROBE_TEXT,
    has_choices,
    is_same_listing,
)
from autocog_openai.routes.chat import read_token, read_tokens
from autocog_openai.servers.dialect import ServerDialect
from autocog_openai.tokenizers.load import Tokenizer

#: A bias that makes a token certain, on OpenAI's scale.
FORCING_BIAS = 100
LISTING_LENGTHS = (20, 5)
#: For each generated token: its bytes, and the most likely tokens at its position.
Steps = list[tuple[bytes, dict[bytes, float]]]


def probe_chat(
    dialect: ServerDialect, capabilities: ServerCapabilities, tokenizer: Tokenizer | None
) -> dict[str, Any]:
    """Return the fields of `ServerCapabilities` that the chat route reveals."""
    route = dialect.chat_route(capabilities, lambda prompt: [])
    question = {"role": "user", "content": PROBE_TEXT}
    refusals: list[AutocogError] = []

    def send(*answer: dict[str, str], **parameters: Any) -> Any:
        body = route.messages_body([question, *answer], **parameters)
        refusals.clear()
        return attempt(lambda: dialect.connection.post(route.path, body), refusals)

    refused: set[str] = set()
    is_answered = has_choices(send(**route.length_limit(1)))
    if not is_answered and _names(refusals, "max_tokens"):
        refused.add("max_tokens")
        route = dialect.chat_route(
            capabilities.model_copy(update={"refused_parameters": ("max_tokens",)}),
            lambda prompt: [],
        )
        is_answered = has_choices(send(**route.length_limit(1)))
    if not is_answered:
        return {"chat": False}
    one_token, two_tokens = route.length_limit(1), route.length_limit(2)
    values: dict[str, Any] = {"chat": True}
    greedy: dict[str, Any] = {"temperature": 0}
    if send(**one_token, **greedy) is None:
        greedy = {}
        # Without a refusal, the server failed, and nothing is known.
        refused.update(["temperature"] if refusals else [])
    answer: Any = None
    listed = 0
    for count in LISTING_LENGTHS:
        answer = send(**two_tokens, **greedy, logprobs=True, top_logprobs=count)
        listed = _count_listed(answer)
        if listed:
            values["chat_max_top_logprobs"] = listed
            break
    else:
        refused.add("logprobs")
    steps = _read_steps(answer)
    if len(steps) == 2 and listed:
        listing = {**greedy, "logprobs": True, "top_logprobs": listed}
        text = steps[0][0].decode(errors="replace")
        start = [{"role": "assistant", "content": text}] if text else []
        continued = _read_steps(send(*start, **one_token, **listing))
        values["prefill"] = bool(continued) and is_same_listing(steps[1][1], continued[0][1])
        values["logit_bias"] = _test_logit_bias(
            steps[0][1],
            tokenizer,
            lambda bias: _read_steps(send(**one_token, **listing, logit_bias=bias)),
        )
    limit = dialect.constraint_probe_tokens
    limits = {} if limit is None else route.length_limit(limit)
    values["choice_constraint"] = _test_choice_constraint(
        dialect, lambda **parameters: send(**parameters, **limits)
    )
    return {**values, "refused_parameters": tuple(sorted(refused))}


def _count_listed(answer: Any) -> int:
    """Return the number of tokens that are listed at the first position."""
    try:
        return len(answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"])
    except (KeyError, IndexError, TypeError):
        return 0


def _read_steps(answer: Any) -> Steps:
    try:
        choice = answer["choices"][0]
        raws = [token.raw for token in read_tokens(choice)]
        listings = [
            {token.raw: token.logprob for token in map(read_token, entry.get("top_logprobs") or ())}
            for entry in choice["logprobs"]["content"]
        ]
    except (KeyError, IndexError, TypeError, AttributeError):
        return []
    return list(zip(raws, listings, strict=True))


def _test_logit_bias(
    listing: Mapping[bytes, float],
    tokenizer: Tokenizer | None,
    send: Callable[[dict[str, int]], Steps],
) -> bool:
    """Whether a bias makes a token certain, and the returned log-probability ignores the bias."""
    if tokenizer is None:
        return False
    for raw, logprob in sorted(listing.items(), key=lambda item: -item[1])[1:]:
        try:
            ids = tokenizer.tokenize(raw.decode("utf-8"), parse_special=False)
        except UnicodeDecodeError:
            continue
        if len(ids) != 1 or tokenizer.token_bytes(ids[0]) != raw:
            continue
        steps = send({str(ids[0]): FORCING_BIAS})
        if not steps or steps[0][0] != raw:
            return False
        return abs(steps[0][1].get(raw, math.inf) - logprob) < LOGPROB_TOLERANCE
    return False


def _test_choice_constraint(dialect: ServerDialect, send: Callable[..., Any]) -> bool:
    choices = ["yes", "no"]
    answer = send(**dialect.constraint_parameters(choices))
    try:
        text = answer["choices"][0]["message"]["content"]
        return dialect.read_constrained_choice(text) in choices
    except (KeyError, IndexError, TypeError, ValueError):
        return False


def _names(refusals: list[AutocogError], parameter: str) -> bool:
    return any(
        isinstance(error, UnsupportedError) and error.parameter == parameter for error in refusals
    )
