"""Two models on the same work: how their tokens, log-probabilities, picks and speed differ."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from autocog_core.errors import shorten
from autocog_core.types.comparison_parts import (
    ComparedModel,
    Flip,
    PositionDifference,
    Spread,
    TokenDifference,
    Vocabularies,
    WorkKind,
)
from autocog_core.types.json_number import to_json_number

_ITEMS = {"texts": "texts", "choices": "prompts", "program": "rows"}
#: Characters of a text, and of the context of a position, in a line.
_MAX_TEXT, _MAX_CONTEXT = 40, 40


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two models on the same work. All differences are in nats.

    :ivar kind: "texts", "choices" or "program".
    :ivar items: number of texts, prompts or rows that both models finished.
    :ivar errors: the messages of the others, by their index.
    :ivar vocabularies: whether both models have the same tokens with the same ids; "unknown" if one
        does not say.
    :ivar equal_items: items whose texts have the same tokens in both models.
    :ivar tokens: absolute differences of the log-probabilities of single tokens, where the tokens
        before are the same; None if there are none.
    :ivar worst_token: the token with the largest difference.
    :ivar texts: absolute differences of the log-probabilities of whole texts or choices, whatever
        their tokens; None if there are none.
    :ivar divergence: KL(first || second) of the next token, over the whole vocabulary; None if it
        cannot be computed.
    :ivar worst_position: the position with the largest divergence.
    :ivar top_agreement: share of these positions at which both models have the same likeliest
        token.
    :ivar share_divergence: KL(first || second) of the shares of the choices; None without choices.
    :ivar picks: number of picks.
    :ivar agreeing: picks among them that are the same.
    :ivar interval: Wilson's 95% interval of the share that agrees; None without picks.
    :ivar flips: the other picks, the one with the largest margin first.
    :ivar first: the first model.
    :ivar second: the second model.
    :ivar notes: what could not be compared, and why.
    """

    kind: WorkKind
    items: int
    errors: Mapping[int, str]
    vocabularies: Vocabularies
    equal_items: int
    tokens: Spread | None
    worst_token: TokenDifference | None
    texts: Spread | None
    divergence: Spread | None
    worst_position: PositionDifference | None
    top_agreement: float | None
    share_divergence: Spread | None
    picks: int
    agreeing: int
    interval: tuple[float, float] | None
    flips: tuple[Flip, ...]
    first: ComparedModel
    second: ComparedModel
    notes: tuple[str, ...] = ()

    @property
    def agreement(self) -> float | None:
        """Share of the picks that are the same; None without picks."""
        return self.agreeing / self.picks if self.picks else None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; infinite numbers become None."""
        data = {"agreement": self.agreement, **asdict(self)}
        for side, model in (("first", self.first), ("second", self.second)):
            data[side]["tokens_per_second"] = model.tokens_per_second
            data[side]["seconds_per_call"] = model.seconds_per_call
        plain: dict[str, Any] = _to_plain(data)
        return plain

    def __str__(self) -> str:
        facts = list(comparison_facts(self))
        for model in (self.first, self.second):
            numbers = ", ".join(f"{name} {text}" for name, text in model_facts(model).items())
            facts.append((model.name, numbers))
        facts += [("note", note) for note in self.notes]
        width = max(len(name) for name, _ in facts)
        return "\n".join(f"{name:<{width}}  {text}" for name, text in facts)


def comparison_facts(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Yield the names and values of a comparison's numbers, without the flips and the models."""
    items = _ITEMS[comparison.kind]
    failed = f"; {len(comparison.errors):,} with errors" if comparison.errors else ""
    yield items, f"{comparison.items:,}{failed}"
    if comparison.vocabularies != "unknown" or comparison.equal_items:
        yield "vocabularies", comparison.vocabularies
        yield "equal tokens", f"in {comparison.equal_items:,} of {comparison.items:,} {items}"
    if comparison.tokens is not None:
        yield "per token", f"{_spread(comparison.tokens)}, of {comparison.tokens.count:,} tokens"
    if (worst := comparison.worst_token) is not None and worst.first != worst.second:
        yield (
            "worst token",
            f"{worst.token!r}: {worst.first:.4f} and {worst.second:.4f}, token {worst.position} "
            f"of {shorten(worst.text, _MAX_TEXT)!r}, {items[:-1]} {worst.item}",
        )
    if comparison.texts is not None:
        what = "per text" if comparison.kind == "texts" else "per choice"
        yield what, f"{_spread(comparison.texts)}, of {comparison.texts.count:,}"
    if comparison.divergence is not None:
        yield (
            "KL",
            f"{_spread(comparison.divergence)}, of {comparison.divergence.count:,} positions",
        )
    if (position := comparison.worst_position) is not None and position.divergence:
        context = position.context
        context = context if len(context) <= _MAX_CONTEXT else f"...{context[-_MAX_CONTEXT:]}"
        yield (
            "worst KL",
            f"{position.divergence:.4f} after {context!r}, {items[:-1]} {position.item}",
        )
    if comparison.top_agreement is not None:
        yield "same top token", f"{comparison.top_agreement:.2%} of the positions"
    if comparison.share_divergence is not None:
        count = comparison.share_divergence.count
        yield "KL of shares", f"{_spread(comparison.share_divergence)}, of {count:,} choices"
    if comparison.interval is not None:
        low, high = comparison.interval
        yield (
            "picks",
            f"{comparison.agreeing:,} of {comparison.picks:,} are the same "
            f"({comparison.agreement:.4f}; 95% interval {low:.4f} to {high:.4f})",
        )


def model_facts(model: ComparedModel) -> dict[str, str]:
    """Return the numbers of one model by name; those that it does not have are missing."""
    rate = model.tokens_per_second
    facts = {
        "engine": model.engine,
        "weights": str(model.details.get("weights") or model.details.get("dtype") or ""),
        "perplexity": _number(model.perplexity, ".3f"),
        "bits/byte": _number(model.bits_per_byte, ".3f"),
        "seconds/call": f"{model.seconds_per_call:.4f}",
        "tokens/s": _number(rate, ",.0f"),
        "tokens": _number(model.tokens, ",d"),
    }
    return {name: text for name, text in facts.items() if text}


def _number(value: float | None, format_: str) -> str:
    return "" if value is None else format(value, format_)


def _spread(spread: Spread) -> str:
    return f"mean {spread.mean:.4g}, p99 {spread.p99:.4g}, max {spread.max:.4g}"


def _to_plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _to_plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_to_plain(entry) for entry in value]
    if isinstance(value, float):
        return None if math.isnan(value) else to_json_number(value)
    return value if isinstance(value, str | int | None) else str(value)
