"""Hypotheses: texts that beam search, greedy decoding or sampling have written so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from autocog_core.evaluation.branch import Branch
from autocog_core.evaluation.path_context import PathContext, split_at_byte
from autocog_core.evaluation.text_rules import TextRules, TextState
from autocog_core.hooks.client import BackendClient
from autocog_core.types.completion import FinishReason


@dataclass(frozen=True, kw_only=True, slots=True)
class Hypothesis:
    """A text so far. It is immutable, because beams share prefixes.

    :ivar tokens: its decided ids.
    :ivar logprobs: the log-probability of each of `tokens`, as far as they are known: those of the
        last tokens may be missing, if there was no alternative to them.
    :ivar allowed: with a constraint, for each of `logprobs`, the log of the probability mass that
        it left.
    :ivar logprob: the sum of `logprobs`.
    :ivar raw: its bytes, with those of a stop string.
    :ivar text_bytes: the number of bytes before the stop string.
    :ivar finish_reason: how it ended; None if it is not finished.
    :ivar state: what the rules know of it.
    """

    state: TextState
    tokens: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    allowed: tuple[float, ...] = ()
    logprob: float = 0.0
    raw: bytes = b""
    text_bytes: int = 0
    finish_reason: FinishReason | None = None

    def extended(self, rules: TextRules, token: int) -> Hypothesis:
        """Return this hypothesis with one more token, whose log-probability is not known yet."""
        piece = rules.client.detokenize([token])
        raw = self.raw + piece
        tokens = (*self.tokens, token)
        state = rules.after(self.state, token, raw, len(piece))
        reason, size = rules.find_end(state, token, raw, len(piece), len(tokens))
        return replace(
            self, tokens=tokens, raw=raw, text_bytes=size, finish_reason=reason, state=state
        )

    def scored(self, logprob: float, allowed: float | None = None) -> Hypothesis:
        """Return this hypothesis with the log-probability of its first token that lacks one.

        :param logprob: the log-probability.
        :param allowed: with a constraint, the log of the mass that it left; else None.
        """
        logprob = min(0.0, logprob)
        masses = self.allowed
        if allowed is not None:
            # Rounding must not make the mass smaller than that of one token in it.
            masses = (*masses, min(0.0, max(allowed, logprob)))
        return replace(
            self,
            logprobs=(*self.logprobs, logprob),
            allowed=masses,
            logprob=self.logprob + logprob,
        )

    @property
    def unscored(self) -> tuple[int, ...]:
        """The tokens whose log-probabilities are not known yet."""
        return self.tokens[len(self.logprobs) :]

    @property
    def text(self) -> str:
        """The text without the stop string."""
        return self.raw[: self.text_bytes].decode("utf-8", errors="replace")

    @property
    def is_incomplete(self) -> bool:
        """Whether it ended before it met its constraint."""
        return self.finish_reason == "incomplete"

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
            allowed=self.allowed,
            rank=rank,
            prob=prob,
            context=PathContext((*base, *self.tokens[:count])).with_bytes(remaining_bytes),
            kept_tokens=count,
            finish_reason=self.finish_reason,
            retokenized=bool(remaining_bytes),
            pruned_by="incomplete" if self.is_incomplete else None,
        )
