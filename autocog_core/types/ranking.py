"""Items in the order of how well they fit a prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from autocog_core.types.json_number import to_json_number


@dataclass(frozen=True, kw_only=True, slots=True)
class RankedItem:
    """One item and its log-probabilities, in nats.

    :ivar item: the text.
    :ivar index: its place among the items that were given.
    :ivar logprob: log P(item | prompt), the sum over its tokens.
    :ivar mean_logprob: `logprob` per token.
    :ivar prompt_logprob: log P(prompt | item).
    """

    item: str
    index: int
    logprob: float
    mean_logprob: float
    prompt_logprob: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; a log-probability of -inf becomes None."""
        return {
            "item": self.item,
            "index": self.index,
            "logprob": to_json_number(self.logprob),
            "mean_logprob": to_json_number(self.mean_logprob),
            "prompt_logprob": to_json_number(self.prompt_logprob),
        }
