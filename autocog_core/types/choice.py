"""Requests for choices, and their scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from autocog_core.errors import CapabilityError
from autocog_core.types.brief import brief
from autocog_core.types.choice_logprobs import ChoiceLogprobs
from autocog_core.types.choice_value import Value
from autocog_core.types.prompt import Prompt, TextPiece
from autocog_core.types.search_goal import SearchGoal
from autocog_core.types.shown_result import ShownResult

if TYPE_CHECKING:
    from autocog_core.types.given_logprobs import GivenLogprobs, Logprobs

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
    :ivar isolate: whether the scores must depend on this request alone, whatever was asked before
        or with it; see `TreeQuery.isolated_start`.
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
    isolate: bool = False
    top: SearchGoal | None = None


class EndOfSequence(Enum):
    """The type of `EOS`."""

    EOS = "EOS"


#: With `suffix=EOS`, one of the model's end-of-sequence tokens must follow the choice.
EOS = EndOfSequence.EOS


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
class ChoiceScores(ShownResult):
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

    page_name: ClassVar = ("choice_page", "Choice")
    cell_name: ClassVar = "choices_in_cell"

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

    @classmethod
    def from_logprobs(
        cls,
        request: ChoiceRequest,
        logprobs: Logprobs,
        *,
        tokens: Sequence[Sequence[int]] | None = None,
        method: str = "logprobs",
        reason: str = "",
        includes_suffix: bool = False,
        tokens_evaluated: int | None = None,
    ) -> ChoiceScores:
        """Return the scores of choices whose log-probabilities a backend knows.

        With the ids of the tokens, the scores are exact. Without ids, choices are taken for
        different outcomes, of which none begins another one.

        :param request: the request; the backend has scored its prompt and choices.
        :param logprobs: for each choice, its log-probability, or those of its tokens, in nats.
        :param tokens: the ids of each choice's tokens.
        :param method: how the choices were scored.
        :param reason: why scores without token ids are not exact; default: because of that.
        :param includes_suffix: whether the log-probabilities include the request's suffix.
        :param tokens_evaluated: tokens that the model evaluated.
        :raises CapabilityError: for a norm, a suffix or a method that these numbers do not serve.
        :raises ContractError: if choices, log-probabilities and tokens do not belong together.
        :raises NumericsError: for NaN, or a log-probability above 0.
        """
        # `autocog choose --help` imports this module, but not NumPy.
        from autocog_core.types.choice_shares import ChoiceShares
        from autocog_core.types.given_logprobs import GivenLogprobs

        given = GivenLogprobs.read(request.choices, logprobs, tokens)
        _check_served(request, given, method, includes_suffix=includes_suffix)
        suffix = request.suffix if isinstance(request.suffix, str) else ""
        rankings = {
            "exclusive_logprob": given.exclusive,
            "mean_logprob": given.mean(),
            "logprob_per_byte": given.per_byte([choice + suffix for choice in request.choices]),
        }
        shares = ChoiceShares.of_ranking(rankings[SCORE_FIELD_OF_NORM[request.norm]])
        default_reason = "" if tokens is not None else "log-probabilities without token ids"
        return cls(
            index=shares.index,
            scores=tuple(
                ChoiceScore(
                    choice=choice,
                    tokens=tuple(map(int, tokens[index])) if tokens is not None else (),
                    token_logprobs=given.token_logprobs[index],
                    logprob=float(given.logprob[index]),
                    exclusive_logprob=float(given.exclusive[index]),
                    mean_logprob=float(rankings["mean_logprob"][index]),
                    logprob_per_byte=float(rankings["logprob_per_byte"][index]),
                    pmi=None,
                    prob=float(shares.prob[index]),
                )
                for index, choice in enumerate(request.choices)
            ),
            norm=request.norm,
            boundary="clean",
            healed_text="",
            has_prefix_choices=given.has_prefix_choices,
            entropy=shares.entropy,
            margin=shares.margin,
            exact=tokens is not None,
            method=method,
            reason=reason or default_reason,
            tokens_evaluated=tokens_evaluated,
        )

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

    def __repr__(self) -> str:
        """Return the best choice with its probability, as one line."""
        count = len(self.scores)
        some = "1 choice" if count == 1 else f"{count:,} choices"
        exact = "" if self.exact else ", not exact"
        best = f"{brief(self.choice)} {self.best.prob:.4f}"
        return f"<ChoiceScores {best} of {some}, norm {self.norm}{exact}>"

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


def _check_served(
    request: ChoiceRequest, given: GivenLogprobs, method: str, *, includes_suffix: bool
) -> None:
    """Refuse what log-probabilities do not serve, so that no backend ignores it."""
    if request.method not in (None, method):
        raise CapabilityError(f"method {request.method!r} is not offered", hint=f'use "{method}"')
    if request.suffix is not None and not includes_suffix:
        raise CapabilityError("no suffix is scored with the choices", hint="leave out the suffix")
    if request.norm == "pmi" or (request.norm == "mean" and not given.by_token):
        raise CapabilityError(
            f'the norm "{request.norm}" is not offered: the backend gives '
            f"one log-probability for each {'token' if given.by_token else 'choice'}",
            hint='use the norm "sum"',
        )
