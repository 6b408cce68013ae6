"""What is asked of a server about one position, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

#: What servers write for a probability of zero, which JSON has no number for.
NEVER = -9999.0
#: Ids are below this, where nobody tells how many there are.
UNKNOWN_SIZE = 2**20


@dataclass(frozen=True, slots=True)
class Wanted:
    """One position: after `tokens`.

    :ivar named: ids whose log-probability is wanted.
    :ivar top: how many of the likeliest tokens are wanted; -1: all there are.
    """

    tokens: tuple[int, ...]
    named: tuple[int, ...] = ()
    top: int = 0


@dataclass(frozen=True, slots=True)
class Heard:
    """What a server answered about one position.

    :ivar logprobs: of tokens by their ids; those asked for, and whatever else it told.
    :ivar listed: how many of the likeliest are surely among them; -1: all.
    :ivar evaluated: tokens that the server says it had to evaluate.
    """

    logprobs: Mapping[int, float] = field(default_factory=dict)
    listed: int = 0
    evaluated: int = 0


class Scorer(Protocol):
    """Exact log-probabilities from one kind of server."""

    def plan(self, wanted: Wanted, heard: Heard) -> Sequence[Wanted]:
        """The requests that tell what is wanted and was not heard; none if it cannot."""
        ...

    def ask(self, wanted: Wanted) -> Heard:
        """One request."""
        ...


def merged(one: Heard, other: Heard) -> Heard:
    """All that two answers about one position tell."""
    listed = -1 if -1 in (one.listed, other.listed) else max(one.listed, other.listed)
    # What came first stays, so that the numbers of one request are not mixed where they need not.
    logprobs = {**other.logprobs, **one.logprobs}
    return Heard(logprobs, listed, one.evaluated + other.evaluated)


def token_id(told: Any) -> int:
    """The id of a token, as a server tells it.

    :raises ValueError: if it is none.
    """
    number = int(told)
    if not 0 <= number < UNKNOWN_SIZE:
        raise ValueError(f"{number} is the id of no token")
    return number


def clean(logprob: float) -> float:
    """A log-probability as it is meant: servers write a very small number for none."""
    return float("-inf") if logprob <= NEVER else min(0.0, logprob)
