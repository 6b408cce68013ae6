"""A backend like a server: it answers several requests at once, with a delay."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from autocog_core.backends.byte_lm import ByteLM, ByteOptions
from autocog_core.backends.random import RandomLM
from autocog_core.types.backend_info import BackendInfo, Usage
from autocog_core.types.choice import ChoiceRequest, ChoiceScores
from autocog_core.types.completion import Completion, CompletionRequest
from autocog_core.types.prompt import Prompt, TextPiece

#: Sees the text of each prompt before it is answered; what it raises is the answer.
Watch = Callable[[str], None]


class Server(ByteLM):
    """A backend with only `choose` and `complete`.

    :param most: how many requests it takes at once. `seconds`: that each of them takes.
    :ivar requests: how many it was asked. `busiest`: how many at the same time.
    """

    kind = "server"

    def __init__(
        self,
        *,
        most: int = 8,
        seconds: float = 0.0,
        watch: Watch = lambda text: None,
        seed: int = 1,
    ) -> None:
        super().__init__(ByteOptions())
        self._inner = RandomLM(seed=seed)
        self._most = most
        self._seconds = seconds
        self._watch = watch
        self._counting = threading.Lock()
        self._working = 0
        self.requests = self.busiest = 0

    def describe_impl(self) -> BackendInfo:
        return replace(
            super().describe_impl(),
            max_concurrency=self._most,
            capabilities=("choose", "complete", "tokenize", "detokenize", "describe", "usage"),
        )

    def greedy_impl(self, tokens: Sequence[int]) -> None:  # type: ignore[override]
        """Not offered."""

    def choose_impl(self, request: ChoiceRequest) -> ChoiceScores:
        with self._answering(request.prompt):
            return self._inner.as_model().client.choose(request)

    def complete_impl(self, request: CompletionRequest) -> Completion:
        with self._answering(request.prompt):
            return self._inner.as_model().client.complete(request)

    def usage_impl(self) -> Usage:
        return Usage(
            requests=self.requests,
            prompt_tokens=10 * self.requests,
            cached_tokens=4 * self.requests,
            completion_tokens=2 * self.requests,
        )

    @contextmanager
    def _answering(self, prompt: Prompt) -> Iterator[None]:
        with self._counting:
            self.requests += 1
            self._working += 1
            self.busiest = max(self.busiest, self._working)
        try:
            time.sleep(self._seconds)
            assert all(isinstance(piece, TextPiece) for piece in prompt.pieces)
            self._watch("".join(getattr(piece, "text", "") for piece in prompt.pieces))
            yield
        finally:
            with self._counting:
                self._working -= 1


def threads_at_work() -> list[str]:
    """Return the threads that runs have started and that have not ended."""
    names = [each.name for each in threading.enumerate()]
    # A server of other tests has threads for calls from asyncio.
    return [name for name in names if name.startswith("autocog-") and "-async-" not in name]
