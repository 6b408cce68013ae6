"""Reading tokens with log-probabilities, and listings of the most likely tokens, from answers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from autocog_openai.connection.answer_fields import (
    FieldError,
    as_list,
    as_logprob,
    as_object,
    as_text,
    as_token_bytes,
    as_token_id,
    first_item,
    optional,
    required,
)
from autocog_openai.connection.streamed_completion import ServerToken
from autocog_openai.connection.token_text import (
    begins_text,
    covers_text,
)
from autocog_openai.routes.listed_tokens import (
    TokenListing,
    build_listing,
    check_equal_logprobs,
    identity_of,
)

#: With `return_tokens_as_token_ids`, vLLM writes a token as this and its id.
ID_PREFIX = "token_id:"
#: Why a listing is not used.
NOT_OF_ANSWER = "the server listed tokens that are not those of its answer"


def read_tokens(choice: Any) -> Iterator[ServerToken]:
    """Return the tokens of a choice with their log-probabilities, in the format of the chat route.

    :raises FieldError: if a token is malformed.
    """
    for entry in _content(choice):
        yield read_token(entry)


def read_token(entry: Any) -> ServerToken:
    """Return one token in the format of the chat route.

    :raises FieldError: if it is malformed.
    """
    name = optional(entry, "token", as_text)
    raw = optional(entry, "bytes", as_token_bytes)
    token = optional(entry, "id", as_token_id)
    if name is not None and name.startswith(ID_PREFIX):
        # The bytes may be those of this name.
        token, raw = parse_token_name(name), b"" if raw == name.encode("utf-8") else raw or b""
    if raw is None:
        raw = required(entry, "token", as_text).encode("utf-8")
    return ServerToken(token=token, raw=raw, logprob=required(entry, "logprob", as_logprob))


def read_listings(choice: Any, *, forced: int = 0) -> list[TokenListing]:
    """Return the listing beside each token, in the format of the chat route.

    :param forced: how many of the first tokens a bias makes certain. Their own log-probability may
        include the bias.
    :raises FieldError: if a token is malformed, or has another log-probability than its listing.
    """
    return [
        _read_listing(entry, is_forced=index < forced)
        for index, entry in enumerate(_content(choice))
    ]


def read_completion_tokens(choice: Any) -> list[ServerToken]:
    """Return the tokens of a choice of the completions route, with their log-probabilities.

    :raises FieldError: if a token is malformed.
    """
    logprobs = optional(choice, "logprobs", as_object)
    if logprobs is None:
        return []
    if logprobs.get("content") is not None:
        # llama-server uses the format of the chat route here too.
        return list(read_tokens(choice))
    return list(read_named_tokens(logprobs))


def begin_answer(tokens: Sequence[ServerToken], texts: Iterable[str]) -> bool:
    """Whether the first of the tokens begins the answer, so that a listing is of its position.

    :param tokens: what the server says that it wrote.
    :param texts: what it wrote. If there are several, it is one of them.
    """
    if not tokens or (tokens[0].token is not None and not tokens[0].raw):
        # The server returns no tokens, or only ids.
        return True
    raws = [token.raw for token in tokens]
    return any(begins_text(raws[0], text) or covers_text(raws, text) for text in texts)


def read_named_tokens(logprobs: Mapping[str, Any]) -> Iterator[ServerToken]:
    """Return the tokens in the format of the completions route.

    :raises FieldError: if a token is malformed.
    """
    names = optional(logprobs, "tokens", as_list) or []
    values = optional(logprobs, "token_logprobs", as_list) or []
    if len(names) != len(values):
        raise FieldError(f"there are {len(names)} tokens, but {len(values)} token_logprobs")
    for name, value in zip(names, values, strict=True):
        yield _named_token(as_text(name, "tokens"), value, "token_logprobs")


def first_listing(answer: Any) -> TokenListing:
    """Return the listing at the first position of an answer of the completions route.

    :returns: an empty listing if the answer has none.
    :raises FieldError: if it is malformed, or the written token has another log-probability.
    """
    logprobs = optional(first_item(answer, "choices"), "logprobs", as_object)
    if logprobs is None:
        return TokenListing()
    if logprobs.get("content") is not None:
        entries = required(logprobs, "content", as_list)
        return _read_listing(entries[0]) if entries else TokenListing()
    listings = optional(logprobs, "top_logprobs", as_list) or [None]
    if listings[0] is None:
        return TokenListing()
    entries_by_name = as_object(listings[0], "top_logprobs")
    listing = build_listing(
        _named_token(as_text(name, "top_logprobs"), value, "top_logprobs")
        for name, value in entries_by_name.items()
    )
    written = next(read_named_tokens(logprobs), None)
    return listing if written is None else _without_shared_text(listing, written)


def parse_token_name(name: str) -> int:
    """Return the id in "token_id:5".

    :raises FieldError: if there is none.
    """
    digits = name.removeprefix(ID_PREFIX)
    is_number = digits != name and digits.isascii() and digits.isdigit() and len(digits) < 12
    return as_token_id(int(digits) if is_number else name, "token")


def _content(choice: Any) -> list[Any]:
    logprobs = optional(choice, "logprobs", as_object)
    return [] if logprobs is None else optional(logprobs, "content", as_list) or []


def _read_listing(entry: Any, *, is_forced: bool = False) -> TokenListing:
    listing = build_listing(map(read_token, optional(entry, "top_logprobs", as_list) or ()))
    if not is_forced:
        check_equal_logprobs(_identified_logprob(read_token(entry)), listing.logprobs)
    return listing


def _without_shared_text(listing: TokenListing, written: ServerToken) -> TokenListing:
    """Return a listing in an object, without the written text if its value is another token's.

    An object has one value for each text, also if two tokens have it.

    :raises FieldError: if a token with an id has another log-probability than its listing.
    """
    try:
        check_equal_logprobs(_identified_logprob(written), listing.logprobs)
    except FieldError:
        if written.token is not None:
            raise
        logprobs = {key: value for key, value in listing.logprobs.items() if key != written.raw}
        return replace(listing, logprobs=logprobs, unclear_logprob=0.0)
    return listing


def _identified_logprob(token: ServerToken) -> dict[int | bytes, float]:
    """Return the log-probability of a token by its key; nothing if one of them is unknown."""
    key = identity_of(token)
    if key is None or token.logprob is None or token.logprob == -math.inf:
        # A token that was written is not impossible.
        return {}
    return {key: token.logprob}


def _named_token(name: str, value: Any, field_name: str) -> ServerToken:
    is_id = name.startswith(ID_PREFIX)
    return ServerToken(
        token=parse_token_name(name) if is_id else None,
        raw=b"" if is_id else name.encode("utf-8"),
        logprob=as_logprob(value, field_name),
    )
