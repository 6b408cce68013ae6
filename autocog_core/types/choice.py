"""Requests for choices, and their scores."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from autocog_core.types.choice_value import Value, default_value
from autocog_core.types.json_number import to_json_number
from autocog_core.types.prompt import Prompt, TextPiece
from autocog_core.types.search_goal import SearchGoal

#: The score that ranks choices and makes `prob`.
Norm = Literal["sum", "mean", "per_byte", "pmi"]
#: What happened to the end of the prompt.
Boundary = Literal["clean", "healed", "token_ids"]

#: Methods of `choose` whose scores are not log-probabilities of text. They add nothing to a path.
UNSCORED_METHODS = ("pick", "decision")
NORMS: tuple[Norm, ...] = ("sum", "mean", "per_byte", "pmi")
#: The field of a `ChoiceScore` that a norm ranks by.
SCORE_FIELD_OF_NORM: dict[Norm, str] = {
    "sum": "exclusive_logprob",
    "mean": "mean_logprob",
    "per_byte": "logprob_per_byte",
    "pmi": "pmi",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ChoiceRequest:
    """Request for the scores of several texts that may continue a prompt.

    :ivar prompt: the prompt.
    :ivar choices: the texts.
    :ivar norm: score that ranks the choices and makes `prob`; docs/semantics.md defines them.
    :ivar suffix: text that must follow the choice and is scored with it, or `EOS`.
    :ivar boundary: "heal" tokenizes the end of the prompt again where a choice changes its
        tokens; "strict" raises an error instead.
    :ivar method: name of the scoring method; None for the backend's default.
    :ivar unconditional_prompt: text that the norm "pmi" uses in place of the prompt; None for
        BOS alone, or for `constant_tail` if the model adds no BOS.
    :ivar constant_tail: the end of the prompt that is the same for all inputs; None for the last
        piece, if the prompt has several.
    :ivar top: how many of the best choices are wanted. A backend that can find them without the
        scores of all choices may then return `TopChoices`. None for the scores of all choices.
    """

    prompt: Prompt
    choices: tuple[str, ...]
    norm: Norm = "sum"
    suffix: str | EndOfSequence | None = None
    boundary: Literal["heal", "strict"] = "heal"
    method: str | None = None
    unconditional_prompt: str | None = None
    constant_tail: tuple[TextPiece, ...] | None = None
    top: SearchGoal | None = None


class EndOfSequence(Enum):
    """The type of `EOS`."""

    EOS = "EOS"


#: With `suffix=EOS`, one of the model's end-of-sequence tokens must follow the choice.
EOS = EndOfSequence.EOS


@dataclass(frozen=True, kw_only=True, slots=True)
class ChoiceLogprobs:
    """One choice and its log-probabilities, in nats. docs/semantics.md defines them.

    For a choice with several texts, the numbers of tokens are those of the likeliest text.

    :ivar choice: the text, or the likeliest of several.
    :ivar tokens: the decided token ids: all after the base that the choices share.
    :ivar token_logprobs: the log-probability of each of `tokens`.
    :ivar logprob: the sum of `token_logprobs`; it adds up along a path.
    :ivar exclusive_logprob: log-probability of this choice and of no longer choice that begins
        with it. For a choice with several texts: of any of them.
    :ivar mean_logprob: `logprob` per decided token.
    :ivar logprob_per_byte: `logprob` per byte of the decided tokens.
    :ivar pmi: `logprob` minus the log-probability of the same tokens after
        `unconditional_prompt`; None unless the norm is "pmi".
    :ivar given_value: the value that was given with the choice; None if none was.
    """

    choice: str
    tokens: tuple[int, ...]
    token_logprobs: tuple[float, ...]
    logprob: float
    exclusive_logprob: float
    mean_logprob: float
    logprob_per_byte: float
    pmi: float | None
    given_value: Value | None = None

    @property
    def value(self) -> Value:
        """The value of the choice; by default its text without the blanks around it."""
        return default_value(self.choice) if self.given_value is None else self.given_value

    def logprobs_to_dict(self, prob: float | None) -> dict[str, Any]:
        """Return these fields as plain data for JSON; a log-probability of -inf becomes None.

        :param prob: the share of the choice, which comes before its tokens.
        """
        data: dict[str, Any] = {
            "choice": self.choice,
            "value": self.value,
            "logprob": to_json_number(self.logprob),
            "exclusive_logprob": to_json_number(self.exclusive_logprob),
            "mean_logprob": to_json_number(self.mean_logprob),
            "logprob_per_byte": to_json_number(self.logprob_per_byte),
            "prob": prob,
            "tokens": list(self.tokens),
            "token_logprobs": [to_json_number(value) for value in self.token_logprobs],
        }
        if self.pmi is not None:
            data["pmi"] = to_json_number(self.pmi)
        return data


@dataclass(frozen=True, kw_only=True, slots=True)
class ChoiceScore(ChoiceLogprobs):
    """One choice with its log-probabilities, and its share among all choices.

    :ivar prob: the share among the choices by the request's norm; the shares sum to 1.
    :ivar texts: the scores of its texts, if it has several; their `prob` sum to that of the choice.
    """

    prob: float
    texts: tuple[ChoiceScore, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; a log-probability of -inf becomes None."""
        data = self.logprobs_to_dict(self.prob)
        if self.texts:
            data["texts"] = [score.to_dict() for score in self.texts]
        return data


@dataclass(frozen=True, kw_only=True, slots=True)
class ChoiceScores:
    """The scores of all choices of one request, in the order given.

    :ivar index: index of the best choice in `scores` (ties: the lower index).
    :ivar scores: one entry for each choice.
    :ivar norm: the norm that ranks the choices.
    :ivar boundary: "clean", "healed" (the end of the prompt was tokenized again with the choice,
        and is scored with it) or "token_ids" (the choice follows token ids of the prompt).
    :ivar healed_text: the text at the end of the prompt that was tokenized again.
    :ivar has_prefix_choices: whether the tokens of one choice begin another choice's tokens.
    :ivar entropy: entropy of `prob`, in nats.
    :ivar margin: the best `prob` minus the second best.
    :ivar exact: whether the scores are the model's own, within its declared tolerance. If not,
        they are lower bounds, or (method "pick" or "decision") no log-probabilities of text.
    :ivar method: how the choices were scored.
    :ivar reason: why this method was used, and why the scores are not exact.
    :ivar unseen_probability: probability mass that the engine did not show and that may belong
        to the choices.
    :ivar tokens_evaluated: tokens that the model evaluated; None if the engine does not say.
    :ivar unconditional_prompt: the text that the norm "pmi" used in place of the prompt; empty for
        BOS alone, and None for other norms.
    """

    index: int
    scores: tuple[ChoiceScore, ...]
    norm: Norm
    boundary: Boundary
    healed_text: str
    has_prefix_choices: bool
    entropy: float
    margin: float
    exact: bool = True
    method: str = "tree"
    reason: str = ""
    unseen_probability: float = 0.0
    tokens_evaluated: int | None = None
    unconditional_prompt: str | None = None

    @property
    def choice(self) -> str:
        """Text of the best choice."""
        return self.best.choice

    @property
    def value(self) -> Value:
        """Value of the best choice."""
        return self.best.value

    @property
    def best(self) -> ChoiceScore:
        """Score of the best choice."""
        return self.scores[self.index]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; a log-probability of -inf becomes None."""
        data = {
            "index": self.index,
            "choice": self.choice,
            "value": self.value,
            "norm": self.norm,
            "boundary": self.boundary,
            "healed_text": self.healed_text,
            "has_prefix_choices": self.has_prefix_choices,
            "entropy": self.entropy,
            "margin": self.margin,
            "exact": self.exact,
            "method": self.method,
            "reason": self.reason,
            "unseen_probability": self.unseen_probability,
            "tokens_evaluated": self.tokens_evaluated,
            "scores": [score.to_dict() for score in self.scores],
        }
        if self.unconditional_prompt is not None:
            data["unconditional_prompt"] = self.unconditional_prompt
        return data
