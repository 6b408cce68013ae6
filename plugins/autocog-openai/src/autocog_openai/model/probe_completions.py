"""Probing of the completions route: listings, token ids as a prompt, and echo."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from autocog_openai.connection.answer_fields import (
    FieldError,
    as_object,
    as_text,
    first_item,
    optional,
    required,
)
from autocog_openai.connection.attempt import attempt
from autocog_openai.connection.client import Connection
from autocog_openai.connection.errors import malformed_answer_error
from autocog_openai.connection.server_capabilities import PromptLogprobs, ServerCapabilities
from autocog_openai.connection.token_text import spells_text
from autocog_openai.routes.listed_tokens import TokenListing
from autocog_openai.routes.token_listing import (
    first_listing,
    read_completion_tokens,
    read_listings,
    read_named_tokens,
    read_tokens,
)
from autocog_openai.servers.dialect import ServerDialect
from autocog_openai.tokenizers.load import Tokenizer, tokenize_if_possible

PROBE_TEXT = "The quick brown fox jumps over the lazy"
#: How much two log-probabilities of one token may differ: servers batch requests, and round.
LOGPROB_TOLERANCE = 0.1
#: The share of a listing that must be present: tokens with equal text look like one.
MIN_OVERLAP = 0.9
#: Lengths of listings to try. A server that lists the last one lists the whole vocabulary.
LISTING_LENGTHS = (5, 20, 1000)
#: How many tokens are compared with the text that they spell.
SPELLED_TOKENS = 8
PICK_PROBLEM = (
    "the server lists 0 for the token that it wrote and a number such as -9999 for all others"
)
SPELLING_PROBLEM = "the listed tokens do not spell the text: two tokens may look like one"
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
        return attempt(lambda: post(dialect.connection, "v1/completions", {**body, **parameters}))

    if not has_choices(send()):
        return {"completions": False}
    values: dict[str, Any] = {"completions": True}
    listed = 0
    for count in LISTING_LENGTHS:
        listing = read_first_listing(send(logprobs=count, **dialect.listing_parameters))
        if listing.is_pick:
            values["listing_problem"] = PICK_PROBLEM
            listed = 0
            break
        listed = max(listed, listing.count)
        if listing.count < MIN_OVERLAP * count:
            break
    if listed and not dialect.listing_parameters:
        values["listing_problem"] = _spelling_problem(send(max_tokens=SPELLED_TOKENS, logprobs=1))
    values["max_top_logprobs"] = -1 if listed >= MIN_OVERLAP * LISTING_LENGTHS[-1] else listed
    ids = [] if tokenizer is None else tokenize_if_possible(tokenizer, PROBE_TEXT)
    if ids and not capabilities.token_ids:
        values["token_ids"] = is_same_listing(
            read_first_listing(send(prompt=ids, logprobs=5)).logprobs,
            read_first_listing(send(logprobs=5)).logprobs,
        )
    values["prompt_logprobs"] = _test_echo(send) if listed else "none"
    return values


def post(connection: Connection, route: str, body: Mapping[str, Any]) -> Any:
    """Return the answer to a request of the probe.

    :raises MalformedAnswerError: if it has choices, but not even one, or wrong log-probabilities.
        What follows from this may be wrong later.
    """
    answer = connection.post(route, body)
    try:
        _check_choices(answer, is_forced="logit_bias" in body)
    except FieldError as error:
        connection.malformed += 1
        raise malformed_answer_error(connection.where, str(error)) from error
    return answer


def _check_choices(answer: Any, *, is_forced: bool) -> None:
    """Check that an answer is readable. It may lack log-probabilities.

    :param is_forced: whether a bias makes the first token certain.
    :raises FieldError: if it is not.
    """
    if not isinstance(answer, Mapping) or "choices" not in answer:
        return
    choice = first_item(answer, "choices")
    logprobs = optional(choice, "logprobs", as_object)
    if logprobs is None:
        return
    if logprobs.get("content") is not None:
        list(read_tokens(choice))
        read_listings(choice, forced=int(is_forced))
    else:
        list(read_named_tokens(logprobs))
        first_listing(answer)


def has_choices(answer: Any) -> bool:
    """Whether an answer is one of a route that writes text."""
    return isinstance(answer, Mapping) and isinstance(answer.get("choices"), list)


def read_first_listing(answer: Any) -> TokenListing:
    """Return the listing at the first position of an answer; an empty one if it is malformed."""
    try:
        return first_listing(answer)
    except FieldError:
        return TokenListing()


def _spelling_problem(answer: Any) -> str:
    """Return why listed tokens are not those of the tokenizer; empty if they are."""
    try:
        choice = first_item(answer, "choices")
        tokens = read_completion_tokens(choice)
        text = required(choice, "text", as_text)
    except FieldError:
        return SPELLING_PROBLEM
    return "" if spells_text([token.raw for token in tokens], text) else SPELLING_PROBLEM


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
        logprobs = required(first_item(answer, "choices"), "logprobs", as_object)
        tokens = list(read_named_tokens(logprobs))
    except FieldError:
        return "none"
    # The last tokens are generated, and not part of the prompt.
    raws = [token.raw for token in tokens]
    length = 0
    while length < len(raws) and len(b"".join(raws[:length])) < len(PROBE_TEXT):
        length += 1
    if b"".join(raws[:length]) != PROBE_TEXT.encode() or length < 3:
        return "none"
    scored = [
        (logprob, index)
        for index, token in enumerate(tokens[:length])
        if index >= 2 and (logprob := token.logprob) is not None
    ]
    compared = 0
    # The most likely tokens are in the listings, if the scores are right.
    for value, index in sorted(scored, key=lambda item: -item[0])[:ECHO_SAMPLES]:
        before = b"".join(raws[:index]).decode()
        listing = read_first_listing(send(prompt=before, logprobs=5)).logprobs
        raw = raws[index]
        if raw in listing:
            if abs(listing[raw] - value) > LOGPROB_TOLERANCE:
                return "wrong"
            compared += 1
        elif listing and value > min(listing.values()) + LOGPROB_TOLERANCE:
            return "wrong"
    return "right" if compared else "none"
