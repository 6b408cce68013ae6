"""The answer of `/v1/score`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from autocog_core.server.autocog_api.usage import CallUsage
from autocog_core.types.choice import Boundary


class ScoredTokenAnswer(BaseModel):
    """A token of a text."""

    id: int = Field(description="Its token id.")
    text: str = Field(description="Its text; bytes that are not UTF-8 are U+FFFD.")
    bytes: str = Field(description="Its bytes, in hexadecimal.")
    logprob: float | None = Field(
        description="Its log-probability in nats; null for minus infinity, and for a token with "
        "nothing before it."
    )


class ScoredWordAnswer(BaseModel):
    """A word of a text."""

    text: str = Field(description="The word.")
    tokens: list[int] = Field(description="The first of its tokens, and the one after its last.")
    surprisal: float | None = Field(description="Its surprisal in bits.")


class TextScoreAnswer(BaseModel):
    """The score of a text after its context."""

    text: str = Field(description="The text.")
    logprob: float | None = Field(description="The sum over its tokens, in nats.")
    mean_logprob: float | None = Field(description="`logprob` per scored token.")
    bits: float | None = Field(description="The surprisal of its tokens, in bits.")
    bits_per_byte: float | None = Field(description="`bits` per byte of its tokens.")
    perplexity: float | None = Field(description="exp(-`mean_logprob`).")
    boundary: Boundary = Field(
        description='"healed" if the end of the context was tokenized again with the text.'
    )
    healed_text: str = Field(description="That end of the context.")
    unscored: int = Field(description="Tokens without a log-probability.")
    windows: int = Field(description="Windows in which the text was evaluated.")
    tokens_evaluated: int = Field(description="Tokens that the model evaluated.")
    tokens: list[ScoredTokenAnswer] = Field(description="The tokens of the text.")
    words: list[ScoredWordAnswer] = Field(description="With `words`: the words of the text.")


class PairScoreAnswer(BaseModel):
    """The scores of two texts after one context."""

    difference: float | None = Field(
        description="The first `logprob` minus the second; null if they are not comparable."
    )
    first: TextScoreAnswer
    second: TextScoreAnswer


class ScoreAnswer(BaseModel):
    """The answer of `/v1/score`."""

    object: Literal["scores"] = "scores"
    model: str = Field(description="The name of the model.")
    results: list[TextScoreAnswer | PairScoreAnswer] = Field(
        description="One result for each text, or each pair, in their order."
    )
    usage: CallUsage
