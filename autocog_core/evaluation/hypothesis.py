"""A text that a Complete is writing: immutable, for beams share their beginnings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autocog_core.automaton.actions import Complete
from autocog_core.evaluation.allowed_tokens import START, StopState
from autocog_core.evaluation.branch import Branch
from autocog_core.evaluation.path_context import Context, PendingText, split_tokens
from autocog_core.hooks.client import BackendClient
from autocog_core.toolkit.stop_strings import find_first_stop
from autocog_core.types.prompt import TextPiece


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What was decided so far.

    :ivar raw: its bytes, those of a stop included. `size`: without the stop.
    :ivar finish: how it ended; None while it goes on.
    """

    tokens: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    logprob: float = 0.0
    raw: bytes = b""
    size: int = 0
    finish: str | None = None
    state: StopState = START

    def plus(
        self, client: BackendClient, action: Complete, token: int, logprob: float, state: StopState
    ) -> Hypothesis:
        """With one more token."""
        logprob = min(0.0, logprob)
        piece = client.detokenize([token])
        raw = self.raw + piece
        size = len(raw)
        finish = None
        if token in client.info.eos:
            finish = "eos"
        else:
            found = find_first_stop(raw, len(self.raw), action.stop)
            if found is not None:
                finish, size = "stop", found[0]
        tokens = (*self.tokens, token)
        if finish is None and len(tokens) == action.length:
            finish = "length"
        return Hypothesis(
            tokens,
            (*self.logprobs, logprob),
            self.logprob + logprob,
            raw,
            size,
            finish,
            state,
        )

    @property
    def text(self) -> str:
        """What it says, without the stop."""
        return self.raw[: self.size].decode("utf-8", errors="replace")

    def branch(
        self, client: BackendClient, base: Sequence[int], rank: float, prob: float
    ) -> Branch:
        """As a branch: what follows goes on without the stop, or the end of the sequence."""
        kept, rest = len(self.tokens), b""
        if self.finish == "eos":
            kept -= 1
        elif self.finish == "stop":
            kept, rest = split_tokens(client, self.tokens, self.size)
        after = Context((*base, *self.tokens[:kept]))
        if rest:
            after = after.plus(PendingText((TextPiece(rest.decode("utf-8", errors="replace")),)))
        return Branch(
            self.text,
            self.tokens,
            self.logprobs,
            rank,
            prob,
            after,
            finish=self.finish,
            retokenized=bool(rest),
        )
