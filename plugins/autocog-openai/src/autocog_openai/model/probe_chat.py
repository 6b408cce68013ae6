"""Probing of the chat route: listings, prefill, bias, and constrained answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from autocog_core import AutocogError
from autocog_openai.connection.answer_fields import (
    FieldError,
    as_object,
    first_item,
    required,
)
from autocog_openai.connection.attempt import attempt
from autocog_openai.connection.errors import UnsupportedError
from autocog_openai.connection.server_capabilities import ServerCapabilities
from autocog_openai.connection.token_text import spells_text
from autocog_openai.model.probe_completions import (
    LOGPROB_TOLERANCE,
    PICK_PROBLEM,
    PROBE_TEXT,
    SPELLED_TOKENS,
    SPELLING_PROBLEM,
    has_choices,
    is_same_listing,
    post,
)
from autocog_openai.routes.chat import THINKS, has_thoughts, read_content
from autocog_openai.routes.listed_tokens import TokenListing
from autocog_openai.routes.token_listing import read_listings, read_tokens
from autocog_openai.servers.dialect import ServerDialect
from autocog_openai.tokenizers.load import Tokenizer, tokenize_if_possible

#: A bias that makes a token certain, on OpenAI's scale.
FORCING_BIAS = 100
LISTING_LENGTHS = (20, 5)
#: For each generated token: its bytes, and the most likely tokens at its position.
Steps = list[tuple[bytes, TokenListing]]


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
        return attempt(lambda: post(dialect.connection, route.path, body), refusals)

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
    steps: Steps = []
    listed = 0
    for count in LISTING_LENGTHS:
        answer = send(**two_tokens, **greedy, logprobs=True, top_logprobs=count)
        steps = _read_steps(answer)
        listed = steps[0][1].count if steps else 0
        if listed:
            break
    else:
        refused.add("logprobs")
    if listed and any(listing.is_pick for _, listing in steps):
        listed = 0
        values["chat_listing_problem"] = PICK_PROBLEM
    elif listed:
        spelled = send(**route.length_limit(SPELLED_TOKENS), **greedy, logprobs=True)
        values["chat_listing_problem"] = _listing_problem(spelled)
    values["chat_max_top_logprobs"] = listed
    if len(steps) == 2 and listed:
        listing = {**greedy, "logprobs": True, "top_logprobs": listed}
        text = steps[0][0].decode(errors="replace")
        start = [{"role": "assistant", "content": text}] if text else []
        continued = _read_steps(send(*start, **one_token, **listing))
        values["prefill"] = bool(continued) and is_same_listing(
            steps[1][1].logprobs, continued[0][1].logprobs
        )
        values["logit_bias"] = _test_logit_bias(
            steps[0][1].logprobs,
            tokenizer,
            lambda bias: _read_steps(send(**one_token, **listing, logit_bias=bias), forced=1),
        )
    limit = dialect.constraint_probe_tokens
    limits = {} if limit is None else route.length_limit(limit)
    values["choice_constraint"] = _test_choice_constraint(
        dialect, lambda **parameters: send(**parameters, **limits)
    )
    return {**values, "refused_parameters": tuple(sorted(refused))}


def _read_steps(answer: Any, *, forced: int = 0) -> Steps:
    """Return the generated tokens; none if the answer has none, or is malformed.

    :param forced: as in `read_listings`.
    """
    try:
        choice = first_item(answer, "choices")
        raws = [token.raw for token in read_tokens(choice)]
        return list(zip(raws, read_listings(choice, forced=forced), strict=True))
    except FieldError:
        return []


def _listing_problem(answer: Any) -> str:
    """Return why listings cannot be used for choices; empty if they can."""
    try:
        choice = first_item(answer, "choices")
        message = required(choice, "message", as_object)
        if has_thoughts(message):
            return THINKS
        raws = [token.raw for token in read_tokens(choice)]
        return "" if spells_text(raws, read_content(message)) else SPELLING_PROBLEM
    except FieldError:
        return SPELLING_PROBLEM


def _test_logit_bias(
    listing: Mapping[int | bytes, float],
    tokenizer: Tokenizer | None,
    send: Callable[[dict[str, int]], Steps],
) -> bool:
    """Whether a bias makes a token certain, and the returned log-probability ignores the bias."""
    if tokenizer is None:
        return False
    for key, logprob in sorted(listing.items(), key=lambda item: -item[1])[1:]:
        token = key if isinstance(key, int) else _find_id(tokenizer, key)
        if token is None:
            continue
        raw = tokenizer.token_bytes(token)
        steps = send({str(token): FORCING_BIAS})
        if not steps or steps[0][0] != raw:
            return False
        return abs(steps[0][1].logprobs.get(key, math.inf) - logprob) < LOGPROB_TOLERANCE
    return False


def _find_id(tokenizer: Tokenizer, raw: bytes) -> int | None:
    """Return the id of the token with these bytes; None if a text becomes other tokens."""
    try:
        ids = tokenize_if_possible(tokenizer, raw.decode("utf-8"))
    except UnicodeDecodeError:
        return None
    return ids[0] if len(ids) == 1 and tokenizer.token_bytes(ids[0]) == raw else None


def _test_choice_constraint(dialect: ServerDialect, send: Callable[..., Any]) -> bool:
    choices = ["yes", "no"]
    answer = send(**dialect.constraint_parameters(choices))
    try:
        message = required(first_item(answer, "choices"), "message", as_object)
        return dialect.read_constrained_choice(read_content(message)) in choices
    except (KeyError, TypeError, ValueError):
        return False


def _names(refusals: list[AutocogError], parameter: str) -> bool:
    return any(
        isinstance(error, UnsupportedError) and error.parameter == parameter for error in refusals
    )
