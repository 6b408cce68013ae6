"""Requests for completions, and completions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from autocog_core.numerics import to_json_number
from autocog_core.types.prompt import Prompt

FinishReason = Literal["stop", "eos", "length"]


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """One completion: how long, where it ends, and how tokens are picked.

    :ivar temperature: 0 is greedy decoding; above, tokens are sampled.
    :ivar top_k: keep the k likeliest tokens; 0 keeps all.
    :ivar top_p: keep the fewest tokens whose probability reaches it; 1 keeps all.
    :ivar min_p: drop tokens below this share of the likeliest one's probability; 0 drops none.
    :ivar n: how many alternatives; the first is the result, the rest its `alternatives`.
    :ivar extra: options that only some engines know; one that an engine does not know is refused.
    :ivar on_text: called with each new piece of text; what it raises ends the completion.
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
    extra: Mapping[str, Any] = field(default_factory=dict)
    on_text: Callable[[str], None] | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """A completion.

    :ivar text: the text, without the stop string.
    :ivar tokens: the token ids that the model decided, those of the stop string or EOS included.
    :ivar logprobs: log-probability of each of `tokens`; None if the engine does not return them.
    :ivar finish_reason: "stop" (a stop string), "eos", or "length" (`max_tokens` reached).
    :ivar stop_string: the stop string that ended the text; None if none did.
    :ivar alternatives: the other n - 1 completions of the request.
    :ivar tokens_evaluated: tokens that the model evaluated, alternatives included; None if the
        engine does not say.
    """

    text: str
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...] | None
    finish_reason: FinishReason
    stop_string: str | None = None
    alternatives: tuple[Completion, ...] = ()
    tokens_evaluated: int | None = None

    @property
    def logprob(self) -> float | None:
        """Sum of `logprobs`."""
        return None if self.logprobs is None else float(sum(self.logprobs))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; a log-probability of -inf becomes None."""
        return {
            "text": self.text,
            "finish_reason": self.finish_reason,
            "stop_string": self.stop_string,
            "logprob": to_json_number(self.logprob),
            "tokens": list(self.tokens),
            "logprobs": None
            if self.logprobs is None
            else [to_json_number(x) for x in self.logprobs],
            "alternatives": [other.to_dict() for other in self.alternatives],
        }
