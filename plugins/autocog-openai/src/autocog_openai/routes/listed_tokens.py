"""The most likely tokens at one position, as a server lists them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autocog_openai.connection.answer_fields import (
    ROUNDING,
    FieldError,
)
from autocog_openai.connection.streamed_completion import ServerToken
from autocog_openai.connection.token_text import (
    REPLACEMENT_BYTES,
    is_escaped,
)

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
        key = identity_of(token)
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


def identity_of(token: ServerToken) -> int | bytes | None:
    """Return what identifies a token; None if nothing does."""
    if token.token is not None:
        return token.token
    raw = token.raw
    return raw if raw and REPLACEMENT_BYTES not in raw and not is_escaped(raw) else None
