"""Requests for completions, and completions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from autocog_core.numerics import renormalized_sum
from autocog_core.types.brief import brief
from autocog_core.types.constraint import Constraint
from autocog_core.types.json_number import to_json_number
from autocog_core.types.prompt import Prompt
from autocog_core.types.shown_result import ShownResult

#: Why a completion ended: at a stop string or the text that must follow ("stop"), at the end of
#: sequence ("eos"), or at the token limit ("length"). "complete": its constraint allows nothing
#: more. "incomplete": the token limit, or a set of tokens, ended it before it met its constraint.
#: "unknown": the engine gives no reason, or one without a known meaning.
FinishReason = Literal["stop", "eos", "length", "complete", "incomplete", "unknown"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CompletionRequest:
    """Request for a completion of a prompt.

    :ivar prompt: the prompt to continue.
    :ivar max_tokens: maximum number of tokens to decide.
    :ivar stop: stop strings; the first one in the text ends it.
    :ivar temperature: 0 for greedy decoding; above 0, tokens are sampled.
    :ivar top_p: sample from the fewest tokens whose total probability reaches it; 1 keeps all.
    :ivar top_k: sample from the k likeliest tokens; 0 keeps all.
    :ivar min_p: drop tokens below this fraction of the highest probability; 0 drops none.
    :ivar seed: random seed; None for a different one in each call.
    :ivar n: number of completions: the result, and n - 1 `alternatives`.
    :ivar constraint: what the whole text must be; None for any text. A backend receives only kinds
        that it declares in `BackendInfo.constraints`.
    :ivar extra: options of single engines. A backend rejects options that it does not know.
    :ivar on_text: called with each new piece of text; an exception in it ends the completion.
    """

    prompt: Prompt
    max_tokens: int = 64
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    n: int = 1
    constraint: Constraint | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    on_text: Callable[[str], None] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion(ShownResult):
    """A text that a model wrote, and its log-probabilities.

    :ivar text: the text, without the stop string.
    :ivar tokens: the token ids that the model decided, those of the stop string or EOS included;
        empty if the engine does not return ids.
    :ivar logprobs: log-probability of each of `tokens`; None if the engine does not return them.
    :ivar finish_reason: why it ended; see `FinishReason`.
    :ivar stop_string: the stop string that ended the text; None if none did.
    :ivar alternatives: the other n - 1 completions of the request.
    :ivar tokens_evaluated: tokens that the model evaluated, alternatives included; None if the
        engine does not say.
    :ivar allowed: with a constraint, for each of `tokens`, the log of the probability mass that the
        constraint left to the model; None without a constraint, or if the engine does not say.
    :ivar reason: why `logprobs` are not the model's own; empty if they are, or if there are none.
    """

    page_name: ClassVar = ("completion_page", "Completion")
    cell_name: ClassVar = "completion_in_cell"

    text: str
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...] | None
    finish_reason: FinishReason
    stop_string: str | None = None
    alternatives: tuple[Completion, ...] = ()
    tokens_evaluated: int | None = None
    allowed: tuple[float, ...] | None = None
    reason: str = ""

    @property
    def logprob(self) -> float | None:
        """Sum of `logprobs`; None without them."""
        return None if self.logprobs is None else float(sum(self.logprobs))

    @property
    def constrained_logprob(self) -> float | None:
        """Log-probability under the constraint, renormalized at each token; None without it."""
        if self.allowed is None or self.logprobs is None:
            return None
        return renormalized_sum(self.logprobs, self.allowed)

    def __repr__(self) -> str:
        """Return the text, why it ended and its log-probability, as one line."""
        tokens = "1 token" if len(self.tokens) == 1 else f"{len(self.tokens):,} tokens"
        logprob = "" if self.logprob is None else f", logprob {self.logprob:.3f}"
        others = f", {len(self.alternatives):,} more" if self.alternatives else ""
        ended = f"finish {self.finish_reason}"
        return f"<Completion {brief(self.text)} {tokens}, {ended}{logprob}{others}>"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; a log-probability of -inf becomes None."""
        return {
            "text": self.text,
            "finish_reason": self.finish_reason,
            "stop_string": self.stop_string,
            "logprob": to_json_number(self.logprob),
            "constrained_logprob": to_json_number(self.constrained_logprob),
            "tokens": list(self.tokens),
            "logprobs": None
            if self.logprobs is None
            else [to_json_number(x) for x in self.logprobs],
            "allowed": None
            if self.allowed is None
            else [to_json_number(mass) for mass in self.allowed],
            "reason": self.reason,
            "alternatives": [other.to_dict() for other in self.alternatives],
        }
