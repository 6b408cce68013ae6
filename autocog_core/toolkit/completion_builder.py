"""Build a completion token by token: where it ends, and which text can be released already."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from autocog_core.toolkit.stop_strings import StopMatcher
from autocog_core.types.completion import Completion, CompletionRequest, FinishReason


class CompletionBuilder:
    """One sample of a request, for engines that pick tokens themselves: append each of them.

    :param request: the request: stop strings, `max_tokens` and `on_text` are taken from it.
    :param detokenize: returns the bytes of token ids.
    :param eos: the token ids that end a sequence.
    :param sample_index: index of the sample in the request; only sample 0 is streamed.
    :ivar tokens: the tokens so far.
    :ivar streamed: whether `on_text` was called.
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
        """Whether the completion has ended."""
        return self._finish_reason is not None

    def append(self, token: int, logprob: float) -> None:
        """Append the next token, and pass the text that can be released to `on_text`."""
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
        """Return the completion of the tokens so far."""
        self._release_text(final=True)
        return Completion(
            text=self._matcher.text(),
            tokens=tuple(self.tokens),
            logprobs=tuple(self._logprobs),
            finish_reason=self._finish_reason or "length",
            stop_string=self._matcher.stop,
        )

    def _release_text(self, *, final: bool) -> None:
        """Pass on the text that cannot be part of a stop string any more."""
        if self._on_text is not None and (piece := self._matcher.releasable_text(final)):
            self.streamed = True
            self._on_text(piece)
