"""Tokens with log-probabilities in answers, and listings of the most likely tokens."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from autocog_openai.connection.answer_fields import (
    ROUNDING,
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
    REPLACEMENT_BYTES,
    begins_text,
    covers_text,
    is_escaped,
)

#: With `return_tokens_as_token_ids`, vLLM writes a token as this and its id.
ID_PREFIX = "token_id:"
#: Why a listing is not used.
NOT_OF_ANSWER = "the server listed tokens that are not those of its answer"
#: How far the log-probability of a written token may be from its listing: servers round.
_MAX_DIFFERENCE = 0.01
#: How much more than 1 the probabilities of a listing may sum to: servers round each of them.
_MAX_EXCESS = 0.01
#: No model gives this or less: logits in float32 do not lie that far apart.
_NEVER_GIVEN = -1000.0
#: Lower values are no real ones: servers fill listings with them. In float32, e**-90 is almost 0.
MIN_REAL_LOGPROB = -90.0


@dataclass(frozen=True, slots=True)
class TokenListing:
    """The most likely tokens at one position.

    :ivar count: the number of listed tokens.
    :ivar logprobs: log-probabilities by token id, or by the bytes of a token if its id is unknown.
        Tokens that neither identifies are left out: incomplete characters, special tokens, and
        tokens with equal bytes.
    :ivar unclear_logprob: the highest log-probability of the listed tokens that are left out.
    :ivar is_pick: whether at most one token is possible. Some servers write this in place of a
        distribution.
    """

    count: int = 0
    logprobs: Mapping[int | bytes, float] = field(default_factory=dict)
    is_pick: bool = False
    unclear_logprob: float = -math.inf

    def find(self, token: int, raw: bytes) -> float | None:
        """Return the log-probability of a token; None if the listing does not identify it.

        :param raw: the token's bytes.
        """
        logprob = self.logprobs.get(token)
        return self.logprobs.get(raw) if logprob is None and raw else logprob

    def seen_probability(self, unclear: Collection[bytes] = ()) -> float:
        """Return the total probability of the identified tokens.

        :param unclear: bytes that do not identify a token.
        """
        return math.fsum(
            math.exp(logprob) for key, logprob in self.logprobs.items() if key not in unclear
        )

    def highest_unlisted_probability(self, unclear: Collection[bytes] = ()) -> float:
        """Return an upper bound of the probability of each token that is not identified.

        :param unclear: bytes that do not identify a token.
        """
        real = sorted(value for value in self.logprobs.values() if value >= MIN_REAL_LOGPROB)
        if len(real) < 2:
            return 1.0
        # Not the least: servers add the token that they wrote to the most likely ones. And a listed
        # token that is not identified has one of the listed probabilities.
        shared = (self.logprobs[key] for key in unclear if key in self.logprobs)
        return math.exp(max(real[1], self.unclear_logprob, *shared))


def build_listing(tokens: Iterable[ServerToken]) -> TokenListing:
    """Return the listing that contains these tokens.

    :raises FieldError: if the probabilities sum to more than 1.
    """
    logprobs: dict[int | bytes, float] = {}
    ambiguous: set[int | bytes] = set()
    unclear: list[float] = []
    values: list[float] = []
    for token in tokens:
        if token.logprob is None:
            continue
        key = _key(token)
        if key is not None and key in logprobs:
            is_repeated = logprobs[key] == token.logprob
            # One id may be listed twice. Equal bytes may be two tokens.
            if isinstance(key, bytes) or not is_repeated:
                ambiguous.add(key)
                unclear.append(token.logprob)
            if is_repeated:
                continue
        elif key is not None:
            logprobs[key] = token.logprob
        else:
            unclear.append(token.logprob)
        values.append(token.logprob)
    total = math.fsum(map(math.exp, values))
    if total > 1 + _MAX_EXCESS:
        raise FieldError(f"the probabilities of the listed tokens sum to {total:.3g}")
    unclear += [logprobs.pop(key) for key in ambiguous]
    return TokenListing(len(values), logprobs, is_pick(values), max(unclear, default=-math.inf))


def is_pick(logprobs: Sequence[float]) -> bool:
    """Whether at most one token is possible: this is no distribution of a model.

    Servers write -9999, -100 or another number for what they do not know.
    """
    possible = [logprob for logprob in logprobs if logprob > _NEVER_GIVEN]
    if len(possible) <= 1:
        # A single token that is not certain may be all that was asked for.
        return len(logprobs) > 1 or (
            len(logprobs) == 1 and (not possible or possible[0] > -ROUNDING)
        )
    if max(possible) <= -ROUNDING:
        return False
    others = sorted(logprobs)[:-1]
    return others[0] == others[-1] < MIN_REAL_LOGPROB


def require_distribution(logprobs: Mapping[Any, float]) -> None:
    """Raise if one token is certain and others are impossible: nothing is known of these.

    :param logprobs: those of several tokens, also of the one that the server wrote.
    :raises FieldError: if they are no distribution.
    """
    if len(logprobs) > 1 and is_pick(list(logprobs.values())):
        raise FieldError("the log-probabilities are 0 and -9999, which is no distribution")


def check_equal_logprobs(written: Mapping[Any, float], listed: Mapping[Any, float]) -> None:
    """Check that tokens that were written have the log-probabilities that are listed for them.

    Otherwise one of them belongs to another token or position, and it is unknown which.

    :raises FieldError: if they differ by more than rounding.
    """
    for key, logprob in written.items():
        other = listed.get(key, logprob)
        if not math.isclose(logprob, other, rel_tol=ROUNDING, abs_tol=_MAX_DIFFERENCE):
            raise FieldError(
                f"the log-probability of the written token is {logprob:.6g}, "
                f"but the listing beside it has {other:.6g} for this token"
            )


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
    key = _key(token)
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


def _key(token: ServerToken) -> int | bytes | None:
    """Return what identifies a token; None if nothing does."""
    if token.token is not None:
        return token.token
    raw = token.raw
    return raw if raw and REPLACEMENT_BYTES not in raw and not is_escaped(raw) else None
