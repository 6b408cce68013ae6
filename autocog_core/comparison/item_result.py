"""What one model made of one text, prompt or row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from autocog_core.types.choice_value import Value

#: Identifies a decision within an item, in both models.
Key = tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A text that a model scored.

    :ivar text: the text.
    :ivar tokens: its decided tokens.
    :ivar logprobs: their log-probabilities.
    :ivar offset: index in `text` of the first of these tokens.
    """

    text: str
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    offset: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """Texts that continue the same ids.

    :ivar prefix: the ids before them; None if they are unknown.
    :ivar candidates: the texts.
    :ivar shares: the share of each choice; empty for texts without shares.
    """

    prefix: tuple[int, ...] | None
    candidates: tuple[Candidate, ...]
    shares: Mapping[Value, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class TextSum:
    """The log-probability of a whole text.

    :ivar logprob: the sum.
    :ivar scored: identifies which part of the text is scored. Sums of other parts are not
        comparable.
    """

    logprob: float
    scored: tuple[object, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Pick:
    """What a model chose or wrote.

    :ivar value: the value of the choice, or the text.
    :ivar prob: its share; None for a text.
    :ivar margin: `prob` minus the next largest share; None without another choice.
    """

    value: Value
    prob: float | None
    margin: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemResult:
    """What one model made of one item.

    :ivar decisions: the decisions whose log-probabilities are the model's own, by key.
    :ivar sums: log-probabilities of whole texts, by key and text.
    :ivar picks: the picks by their names.
    :ivar note: why numbers of the model are missing; empty if none are.
    """

    decisions: Mapping[Key, Decision] = field(default_factory=dict)
    sums: Mapping[Key, TextSum] = field(default_factory=dict)
    picks: Mapping[str, Pick] = field(default_factory=dict)
    note: str = ""


def margin_of(share: float, others: list[float]) -> float | None:
    """Return a share minus the largest of the others; None if there are no others."""
    return share - max(others) if others else None
