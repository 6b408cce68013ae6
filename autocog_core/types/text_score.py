"""Scores of given texts: per token, per word, and of the whole."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from autocog_core.types.choice import Boundary
from autocog_core.types.json_number import to_json_number


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredToken:
    """One token of a text.

    :ivar id: its token id.
    :ivar raw: its bytes; none for a special token.
    :ivar logprob: its natural log-probability after all tokens before it; None for the first token
        of a sequence, which has nothing before it.
    """

    id: int
    raw: bytes
    logprob: float | None

    @property
    def text(self) -> str:
        """`raw` as text; bytes that are not UTF-8 become U+FFFD."""
        return self.raw.decode("utf-8", errors="replace")

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; a log-probability of -inf becomes None."""
        return {
            "id": self.id,
            "text": self.text,
            "bytes": self.raw.hex(),
            "logprob": to_json_number(self.logprob),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredWord:
    """One word of a text: what stands between blanks. docs/semantics.md defines its surprisal.

    :ivar text: the word; several, with the blanks between them, if one token spans them.
    :ivar first_token: index of the first of its tokens in `TextScore.tokens`.
    :ivar end_token: index after the last of its tokens.
    :ivar surprisal: in bits; None if one of its tokens has no log-probability.
    """

    text: str
    first_token: int
    end_token: int
    surprisal: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; an infinite surprisal becomes None."""
        return {
            "text": self.text,
            "tokens": [self.first_token, self.end_token],
            "surprisal": to_json_number(self.surprisal),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class TextScore:
    """The log-probability of a text after a context.

    :ivar text: the text.
    :ivar tokens: its tokens. Those of `healed_text` are among them.
    :ivar words: its words, if they were asked for.
    :ivar boundary: what happened where the context meets the text: "clean", "healed" or
        "token_ids", as for choices.
    :ivar healed_text: the end of the context that the tokenizer joins with the text, and that is
        scored with it.
    :ivar windows: number of windows in which the text was evaluated: 1 if it fits the context.
    :ivar tokens_evaluated: number of tokens that the model evaluated.
    """

    text: str
    tokens: tuple[ScoredToken, ...]
    words: tuple[ScoredWord, ...]
    boundary: Boundary
    healed_text: str
    windows: int
    tokens_evaluated: int

    @property
    def logprobs(self) -> tuple[float, ...]:
        """The log-probabilities of the tokens that have one."""
        return tuple(token.logprob for token in self.tokens if token.logprob is not None)

    @property
    def unscored(self) -> int:
        """Number of tokens without a log-probability: 1 for a text without BOS or context."""
        return len(self.tokens) - len(self.logprobs)

    @property
    def logprob(self) -> float | None:
        """Sum of the log-probabilities of the scored tokens, in nats; None if there is none."""
        return math.fsum(self.logprobs) if self.logprobs else None

    @property
    def mean_logprob(self) -> float | None:
        """`logprob` per scored token; None if there is none."""
        return None if self.logprob is None else self.logprob / len(self.logprobs)

    @property
    def bits(self) -> float | None:
        """Surprisal of the scored tokens in bits; None if there is none."""
        return None if self.logprob is None else -self.logprob / math.log(2)

    @property
    def bits_per_byte(self) -> float | None:
        """`bits` per byte of the scored tokens; None if they have no bytes."""
        count = sum(len(token.raw) for token in self.tokens if token.logprob is not None)
        return self.bits / count if count and self.bits is not None else None

    @property
    def perplexity(self) -> float | None:
        """exp(-`mean_logprob`); None if no token has a log-probability."""
        if self.mean_logprob is None:
            return None
        try:
            return math.exp(-self.mean_logprob)
        except OverflowError:
            return math.inf

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; infinite numbers become None."""
        return {
            "text": self.text,
            "logprob": to_json_number(self.logprob),
            "mean_logprob": to_json_number(self.mean_logprob),
            "bits": to_json_number(self.bits),
            "bits_per_byte": to_json_number(self.bits_per_byte),
            "perplexity": to_json_number(self.perplexity),
            "boundary": self.boundary,
            "healed_text": self.healed_text,
            "unscored": self.unscored,
            "windows": self.windows,
            "tokens_evaluated": self.tokens_evaluated,
            "tokens": [token.to_dict() for token in self.tokens],
            "words": [word.to_dict() for word in self.words],
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class PairScore:
    """Two texts after one context, such as a minimal pair of linguistics.

    :ivar first: the score of the first text.
    :ivar second: the score of the second text.
    """

    first: TextScore
    second: TextScore

    @property
    def difference(self) -> float | None:
        """Log-probability of the first text minus that of the second, in nats.

        None if they are not comparable: a token without a log-probability is not the same in both,
        or the tokenizer joins another part of the context with each, which is scored with it.
        """
        if self.first.healed_text != self.second.healed_text:
            return None
        unscored = [
            [token.id for token in score.tokens if token.logprob is None]
            for score in (self.first, self.second)
        ]
        first, second = self.first.logprob, self.second.logprob
        if unscored[0] != unscored[1] or first is None or second is None:
            return None
        return 0.0 if first == second else first - second

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; infinite numbers become None."""
        return {
            "difference": to_json_number(self.difference),
            "first": self.first.to_dict(),
            "second": self.second.to_dict(),
        }
