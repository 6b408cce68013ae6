"""The answer of `/v1/choose`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from autocog_core.server.autocog_api.usage import CallUsage
from autocog_core.types.choice import Boundary, Norm

Value = str | bool | int | float
Logprob = float | None


class ChoiceLogprobsAnswer(BaseModel):
    """A choice and its log-probabilities in nats; null is minus infinity."""

    choice: str = Field(description="Its text; of several, the likeliest.")
    value: Value = Field(description="Its value.")
    logprob: Logprob = Field(description="The sum of `token_logprobs`.")
    exclusive_logprob: Logprob = Field(
        description="The log-probability of this choice, and of no longer one that begins with it."
    )
    mean_logprob: Logprob = Field(description="`logprob` per decided token.")
    logprob_per_byte: Logprob = Field(description="`logprob` per byte of the decided tokens.")
    tokens: list[int] = Field(description="The ids of its decided tokens.")
    token_logprobs: list[Logprob] = Field(description="The log-probability of each of `tokens`.")
    pmi: Logprob = Field(None, description="Only with the norm pmi.")


class ScoreOfChoice(ChoiceLogprobsAnswer):
    """A choice and its share among all choices."""

    prob: float = Field(description="Its share among the choices, by the norm; the sum is 1.")
    texts: list[dict[str, Any]] = Field(
        default=[], description="The same for each of its texts, if it has several."
    )


class TopChoiceAnswer(ChoiceLogprobsAnswer):
    """One of the best choices."""

    index: int = Field(description="Its index among the choices of the request.")
    score: Logprob = Field(description="What ranks it, by the norm.")
    prob: float | None = Field(description="Its share; null unless the whole tree was read.")
    prob_bounds: list[float] = Field(description="The lowest and the highest value of `prob`.")


class AnyChoiceResult(BaseModel):
    """What results of all kinds have."""

    index: int = Field(description="The index of the best choice.")
    choice: str = Field(description="Its text.")
    value: Value = Field(description="Its value.")
    norm: Norm = Field(description="The score that ranks the choices.")
    boundary: Boundary = Field(
        description='"healed" if the end of the prompt was tokenized again with the choices.'
    )
    healed_text: str = Field(description="That end of the prompt.")
    has_prefix_choices: bool = Field(description="Whether one choice begins another one.")
    exact: bool = Field(description="Whether the numbers are the model's own.")
    method: str = Field(description="How the choices were scored.")
    reason: str = Field(description="Why in this way, and why the numbers are not exact.")
    tokens_evaluated: int | None = Field(description="Tokens that the model evaluated.")
    unconditional_prompt: str | None = Field(None, description="Only with the norm pmi.")


class ChoiceScoresAnswer(AnyChoiceResult):
    """The scores of all choices."""

    entropy: float = Field(description="The entropy of `prob`, in nats.")
    margin: float = Field(description="The best `prob` minus the second best.")
    unseen_probability: float = Field(
        description="Probability that the engine did not show and that may belong to the choices."
    )
    scores: list[ScoreOfChoice] = Field(description="The choices, in the order of the request.")


class TopChoicesAnswer(AnyChoiceResult):
    """The best choices, if the request has `top`."""

    proven: bool = Field(description="Whether no other choice can be better than those of `top`.")
    nodes_read: int | None = Field(description="Nodes of the token tree that were read.")
    nodes: int | None = Field(description="All nodes of the token tree.")
    steps: int = Field(description="Calls of the engine.")
    prob: float | None = Field(description="The share of the best choice, if it is known.")
    prob_bounds: list[float] = Field(description="The lowest and the highest value of `prob`.")
    entropy: float | None = Field(description="Null unless the whole tree was read.")
    margin: float | None = Field(description="Null unless the whole tree was read.")
    top: list[TopChoiceAnswer] = Field(description="The best choices, best first.")
    score_bounds: list[Logprob] = Field(
        description="For each choice of the request: the highest score that it can have."
    )
    is_at_least: bool | None = Field(None, description="Only with `at_least`.")


class ChooseAnswer(BaseModel):
    """The answer of `/v1/choose`."""

    object: Literal["choices"] = "choices"
    model: str = Field(description="The name of the model.")
    results: list[ChoiceScoresAnswer | TopChoicesAnswer] = Field(
        description="One result for each prompt, in their order."
    )
    usage: CallUsage
