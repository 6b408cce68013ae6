"""What a comparison of two models consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from autocog_core.types.choice_value import Value

WorkKind = Literal["texts", "choices", "program"]
Vocabularies = Literal["equal", "different", "unknown"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """Distribution of numbers that are at least 0, in nats.

    :ivar count: how many numbers.
    :ivar mean: their mean.
    :ivar p99: the smallest number that at least 99% of them do not exceed.
    :ivar max: the largest one.
    """

    count: int
    mean: float
    p99: float
    max: float


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenDifference:
    """A token and its log-probabilities in both models, in nats.

    :ivar item: index of the text, prompt or row.
    :ivar text: the text, or the choice, that the token belongs to.
    :ivar position: index of the token in it.
    :ivar token: the token.
    :ivar first: its log-probability in the first model.
    :ivar second: that in the second model.
    """

    item: int
    text: str
    position: int
    token: str
    first: float
    second: float


@dataclass(frozen=True, kw_only=True, slots=True)
class PositionDifference:
    """A position, and how far the models' distributions of the next token are apart.

    :ivar item: index of the text, prompt or row.
    :ivar context: the end of the text before the position.
    :ivar divergence: KL(first || second) in nats.
    """

    item: int
    context: str
    divergence: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Flip:
    """A pick in which the models differ.

    :ivar item: index of the prompt or row.
    :ivar field: the name of the pick: the field or action of a program; empty for choices.
    :ivar first: what the first model picks; None if its path has no such pick.
    :ivar second: what the second model picks; None if its path has no such pick.
    :ivar first_prob: the share of `first` in the first model; None for a text that it wrote.
    :ivar second_prob: the share of `second` in the second model; None for a text that it wrote.
    :ivar first_margin: `first_prob` minus the next largest share in the first model; None without
        another choice.
    """

    item: int
    field: str
    first: Value | None
    second: Value | None
    first_prob: float | None
    second_prob: float | None
    first_margin: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedModel:
    """One of the models, and its own numbers.

    :ivar name: the model's name.
    :ivar engine: name of the engine and its model.
    :ivar details: facts about the backend, such as the number of parameters and the device.
    :ivar calls: number of calls that were measured, one for each item.
    :ivar seconds: what they took together.
    :ivar tokens: tokens that the model evaluated in them; None if it does not say.
    :ivar perplexity: of all texts; None for other work.
    :ivar bits_per_byte: surprisal of all texts per byte; None for other work.
    """

    name: str
    engine: str
    details: Mapping[str, Any] = field(default_factory=dict)
    calls: int
    seconds: float
    tokens: int | None
    perplexity: float | None
    bits_per_byte: float | None

    @property
    def tokens_per_second(self) -> float | None:
        """Evaluated tokens per second; None if the model does not count them."""
        return None if self.tokens is None or not self.seconds else self.tokens / self.seconds

    @property
    def seconds_per_call(self) -> float:
        """Mean time of a call."""
        return self.seconds / self.calls if self.calls else 0.0
