"""A completion as it grows, token by token: where it ends, and what of it may be shown already."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from autocog_core.toolkit.stop_strings import StopMatcher
from autocog_core.types.completion import Completion, CompletionRequest, FinishReason


class CompletionBuilder:
    """One sample of a request, for engines that pick tokens: it is told each of them.

    :param detokenize: the bytes of token ids. `eos`: the ids that end a sequence.
    :param number: which of the request's samples it is; only the first is streamed.
    :ivar tokens: what was taken so far. `streamed`: whether any text was passed on.
    """

    def __init__(
        self,
        request: CompletionRequest,
        detokenize: Callable[[Sequence[int]], bytes],
        eos: Collection[int],
        sample_index: int = 0,
    ) -> None:
        self.tokens: list[int] = []
        self.streamed = False
        self._logprobs: list[float] = []
        self._finish_reason: FinishReason | None = None
        self._max_tokens = request.max_tokens
        self._detokenize = detokenize
        self._eos = eos
        self._matcher = StopMatcher(request.stop)
        self._on_text = request.on_text if sample_index == 0 else None

    @property
    def is_done(self) -> bool:
        """Whether it has ended."""
        return self._finish_reason is not None

    def append(self, token: int, logprob: float) -> None:
        """Go on with a token, which may end it; what can be shown is passed on."""
        self.tokens.append(token)
        # Rounding may put it above 0.
        self._logprobs.append(min(0.0, logprob))
        if token in self._eos:
            self._finish_reason = "eos"
        elif self._matcher.feed(self._detokenize([token])):
            self._finish_reason = "stop"
        elif len(self.tokens) >= self._max_tokens:
            self._finish_reason = "length"
        self._release_text(final=self.is_done)

    def completion(self) -> Completion:
        """What was written."""
        self._release_text(final=True)
        return Completion(
            self._matcher.text(),
            tuple(self.tokens),
            tuple(self._logprobs),
            self._finish_reason or "length",
            self._matcher.stop,
        )

    def _release_text(self, *, final: bool) -> None:
        """Pass on what can no longer turn out to be part of a stop."""
        if self._on_text is not None and (piece := self._matcher.releasable_text(final)):
            self.streamed = True
            self._on_text(piece)
