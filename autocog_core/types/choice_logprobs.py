"""One choice and its log-probabilities: the fields that all kinds of scores share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from autocog_core.types.choice_value import Value, default_value
from autocog_core.types.json_number import to_json_number


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
