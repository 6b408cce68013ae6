"""Tokens with their texts, numbers and colors, and numbers as text."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from autocog_core.types.token_texts import Detokenizer, bytes_of_tokens, split_text

#: The color of a token is the number of these probabilities that are above its own;
#: assets/explorer_panel.js has the same.
_LEVELS = (0.9, 0.5, 0.2, 0.05, 0.01)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenView:
    """A token as a page shows it.

    :ivar id: its id; None if it is not known.
    :ivar text: its text; None if it is not known, "" for a part of a character.
    :ivar logprob: its log-probability; None if it is not known.
    :ivar allowed: the log of the mass that a constraint left; None without one.
    """

    id: int | None
    text: str | None
    logprob: float | None
    allowed: float | None = None

    @property
    def level(self) -> int:
        """Its color, from 0 for a likely token to 5."""
        return 0 if self.logprob is None else token_level(self.logprob)

    @property
    def label(self) -> str:
        """Its text in quotes, so that blanks are visible."""
        if self.text is None:
            return "" if self.id is None else f"id {self.id}"
        return json.dumps(self.text, ensure_ascii=False) if self.text else "part of a character"

    @property
    def hint(self) -> str:
        """Its numbers on one line."""
        if self.logprob is None:
            return self.label
        return f"{self.label}: {prob_text(math.exp(self.logprob))} ({logprob_text(self.logprob)})"


def token_level(logprob: float) -> int:
    """Return the color of a token, from 0 for a likely one to 5."""
    return sum(math.exp(logprob) < limit for limit in _LEVELS)


def view_tokens(
    tokens: Sequence[int],
    logprobs: Sequence[float] | None,
    model: Detokenizer | None,
    allowed: Sequence[float] | None = None,
) -> list[TokenView]:
    """Return tokens as a page shows them.

    :param tokens: the ids; none if only log-probabilities are known.
    :param logprobs: their log-probabilities; None if they are not known.
    :param model: the model, which knows their texts; None if it is not given.
    :param allowed: for each, the log of the mass that a constraint left; None without one.
    """
    known = {} if model is None else bytes_of_tokens(tokens, model)
    texts = split_text([known[token] for token in tokens]) if known else []
    count = max(len(tokens), len(logprobs or ()))
    return [
        TokenView(
            id=tokens[index] if index < len(tokens) else None,
            text=texts[index] if index < len(texts) else None,
            logprob=logprobs[index] if logprobs and index < len(logprobs) else None,
            allowed=allowed[index] if allowed and index < len(allowed) else None,
        )
        for index in range(count)
    ]


def prob_text(prob: float | None) -> str:
    """Return a probability with four decimals; a small one is not shown as 0."""
    if prob is None:
        return "unknown"
    return "<.0001" if 0 < prob < 0.00005 else f"{prob:.4f}"


def logprob_text(logprob: float | None) -> str:
    """Return a log-probability with three decimals."""
    return "unknown" if logprob is None else f"{logprob:.3f}"


def exp_text(logprob: float) -> str:
    """Return the probability of a log-probability, as text."""
    return prob_text(math.exp(logprob))
