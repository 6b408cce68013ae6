"""How a model thinks before an action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Thinking:
    """Let the model think before an action, up to its own end-of-thinking token.

    :ivar length: the largest number of tokens of the thoughts. If they do not end before, the end
        is put in, without a score.
    :ivar end: the text that ends the thoughts, such as "</think>"; None for that of the model.
    :ivar after: text between this end and the action, such as the newlines that the model's chat
        template writes there.
    """

    length: int
    end: str | None = None
    after: str = ""


def as_thinking(thinking: Thinking | Mapping[str, Any] | None) -> Thinking | None:
    """Return the thinking of an action, which may be a mapping of its fields."""
    return Thinking(**thinking) if isinstance(thinking, Mapping) else thinking
