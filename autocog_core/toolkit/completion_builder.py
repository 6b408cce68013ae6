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
        number: int = 0,
    ) -> None:
        self.tokens: list[int] = []
        self.streamed = False
        self._logprobs: list[float] = []
        self._finish: FinishReason | None = None
        self._most = request.max_tokens
        self._detokenize = detokenize
        self._eos = eos
        self._matcher = StopMatcher(request.stop)
        self._on_text = request.on_text if number == 0 else None

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._finish is not None

    def take(self, token: int, logprob: float) -> None:
        """Go on with a token, which may end it; what can be shown is passed on."""
        self.tokens.append(token)
        # Rounding may put it above 0.
        self._logprobs.append(min(0.0, logprob))
        if token in self._eos:
            self._finish = "eos"
        elif self._matcher.feed(self._detokenize([token])):
            self._finish = "stop"
        elif len(self.tokens) >= self._most:
            self._finish = "length"
        self._show(final=self.done)

    def completion(self) -> Completion:
        """What was written."""
        self._show(final=True)
        return Completion(
            self._matcher.text(),
            tuple(self.tokens),
            tuple(self._logprobs),
            self._finish or "length",
            self._matcher.stop,
        )

    def _show(self, *, final: bool) -> None:
        """Pass on what can no longer turn out to be part of a stop."""
        if self._on_text is not None and (piece := self._matcher.releasable_text(final)):
            self.streamed = True
            self._on_text(piece)
