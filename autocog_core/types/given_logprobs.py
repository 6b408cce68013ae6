"""Log-probabilities that a backend gives for choices: checked, and the numbers that follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autocog_core.errors import ContractError, NumericsError
from autocog_core.types.choice_shares import exclusive_logprobs
from autocog_core.types.token_tree import TokenTree

Float64Array = NDArray[np.float64]

#: One number for each choice, or one for each token of each choice.
Logprobs = Sequence[float] | Sequence[Sequence[float]]
#: Rounding may cause log-probabilities up to this value; they become 0.
_MAX_ROUNDING = 1e-3


@dataclass(frozen=True, kw_only=True, slots=True)
class GivenLogprobs:
    """The log-probabilities of choices, in nats.

    :ivar by_token: whether each token has its own.
    :ivar token_logprobs: those of each choice's tokens; empty if not `by_token`.
    :ivar logprob: float64 (choices,), the sum along each choice.
    :ivar exclusive: float64 (choices,), without the probability of longer choices.
    :ivar has_prefix_choices: whether the tokens of one choice begin another one's.
    """

    by_token: bool
    token_logprobs: tuple[tuple[float, ...], ...]
    logprob: Float64Array
    exclusive: Float64Array
    has_prefix_choices: bool

    @classmethod
    def read(
        cls,
        choices: Sequence[str],
        logprobs: Logprobs,
        tokens: Sequence[Sequence[int]] | None,
    ) -> GivenLogprobs:
        """Check what a backend gives, and return it with the sums.

        :param choices: the texts.
        :param logprobs: one number for each choice, or a sequence for each choice's tokens.
        :param tokens: the ids of each choice's tokens, if they are known.
        :raises ContractError: if choices, log-probabilities and tokens do not belong together.
        :raises NumericsError: for NaN, or a log-probability above 0.
        """
        if len(logprobs) != len(choices):
            raise ContractError(f"{len(logprobs)} log-probabilities for {len(choices)} choices")
        by_token = any(np.ndim(each) > 0 for each in logprobs)
        rows = [_checked(logprobs[index], choice) for index, choice in enumerate(choices)]
        logprob = np.array([row.sum() for row in rows], dtype=np.float64)
        token_logprobs = (
            tuple(tuple(row.tolist()) for row in rows) if by_token else ((),) * len(rows)
        )
        exclusive, has_prefix_choices = logprob, False
        if tokens is not None:
            _check_tokens(choices, rows, tokens, by_token=by_token)
            tree = TokenTree.build([tuple(map(int, ids)) for ids in tokens])
            values = np.zeros(len(tree.tokens))
            values[tree.path_nodes] = np.concatenate(rows)
            exclusive, has_prefix_choices = exclusive_logprobs(tree, values, logprob)
        return cls(
            by_token=by_token,
            token_logprobs=token_logprobs,
            logprob=logprob,
            exclusive=exclusive,
            has_prefix_choices=has_prefix_choices,
        )

    def mean(self) -> Float64Array:
        """Return the log-probability per token; of whole choices, that of the choice."""
        lengths = [max(1, len(row)) for row in self.token_logprobs]
        return self.logprob / np.array(lengths, dtype=np.float64)

    def per_byte(self, texts: Sequence[str]) -> Float64Array:
        """Return the log-probability per byte of the texts in UTF-8."""
        lengths = [max(1, len(text.encode())) for text in texts]
        return self.logprob / np.array(lengths, dtype=np.float64)


def _checked(logprobs: float | Sequence[float], choice: str) -> Float64Array:
    """Return the log-probabilities of one choice: float64 (tokens,), each at most 0."""
    row = np.atleast_1d(np.asarray(logprobs, dtype=np.float64))
    if not row.size:
        raise ContractError(f"no log-probability of {choice!r}")
    highest = float(row.max())
    if not highest <= _MAX_ROUNDING:  # also NaN
        raise NumericsError(
            f"the log-probability of {choice!r} is {highest:.6g}, not at most 0",
            hint="log-probabilities are natural logarithms of probabilities",
        )
    return np.minimum(row, 0.0)


def _check_tokens(
    choices: Sequence[str],
    rows: Sequence[Float64Array],
    tokens: Sequence[Sequence[int]],
    *,
    by_token: bool,
) -> None:
    if not by_token:
        raise ContractError(
            "token ids, but one log-probability for each choice",
            hint="give one for each token, or no token ids",
        )
    if len(tokens) != len(choices):
        raise ContractError(f"token ids of {len(tokens)} choices in place of {len(choices)}")
    for choice, row, ids in zip(choices, rows, tokens, strict=True):
        if len(ids) != len(row):
            raise ContractError(f"{len(row)} log-probabilities for {len(ids)} tokens of {choice!r}")
