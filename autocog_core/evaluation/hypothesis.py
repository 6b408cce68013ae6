"""Hypotheses: texts that beam search, greedy decoding or sampling have written so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autocog_core.automaton.actions import Complete
from autocog_core.evaluation.allowed_tokens import START, StopState
from autocog_core.evaluation.branch import Branch
from autocog_core.evaluation.path_context import PathContext, split_at_byte
from autocog_core.hooks.client import BackendClient
from autocog_core.toolkit.stop_strings import find_first_stop


@dataclass(frozen=True, kw_only=True, slots=True)
class Hypothesis:
    """A text so far. It is immutable, because beams share prefixes.

    :ivar tokens: its decided ids.
    :ivar logprobs: the log-probability of each of `tokens`.
    :ivar logprob: the sum of `logprobs`.
    :ivar raw: its bytes, with those of a stop string.
    :ivar text_bytes: the number of bytes before the stop string.
    :ivar finish_reason: how it ended; None if it is not finished.
    :ivar state: the parts of stop strings at its end.
    """

    tokens: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    logprob: float = 0.0
    raw: bytes = b""
    text_bytes: int = 0
    finish_reason: str | None = None
    state: StopState = START

    def extended(
        self, client: BackendClient, action: Complete, token: int, logprob: float, state: StopState
    ) -> Hypothesis:
        """Return this hypothesis with one more token."""
        logprob = min(0.0, logprob)
        raw = self.raw + client.detokenize([token])
        tokens = (*self.tokens, token)
        text_bytes = len(raw)
        finish_reason = None
        if token in client.info.eos:
            finish_reason = "eos"
        elif (stop := find_first_stop(raw, len(self.raw), action.stop)) is not None:
            finish_reason, text_bytes = "stop", stop[0]
        elif len(tokens) == action.length:
            finish_reason = "length"
        return Hypothesis(
            tokens=tokens,
            logprobs=(*self.logprobs, logprob),
            logprob=self.logprob + logprob,
            raw=raw,
            text_bytes=text_bytes,
            finish_reason=finish_reason,
            state=state,
        )

    @property
    def text(self) -> str:
        """The text without the stop string."""
        return self.raw[: self.text_bytes].decode("utf-8", errors="replace")

    def to_branch(
        self, client: BackendClient, base: Sequence[int], rank: float, prob: float
    ) -> Branch:
        """Return the branch, whose context excludes the stop string or EOS.

        :param client: the model's client.
        :param base: the ids before the completion.
        :param rank: the branch's rank.
        :param prob: the branch's probability.
        """
        count, remaining_bytes = len(self.tokens), b""
        if self.finish_reason == "eos":
            count -= 1
        elif self.finish_reason == "stop":
            count, remaining_bytes = split_at_byte(client, self.tokens, self.text_bytes)
        return Branch(
            text=self.text,
            tokens=self.tokens,
            logprobs=self.logprobs,
            rank=rank,
            prob=prob,
            context=PathContext((*base, *self.tokens[:count])).with_bytes(remaining_bytes),
            finish_reason=self.finish_reason,
            retokenized=bool(remaining_bytes),
        )
