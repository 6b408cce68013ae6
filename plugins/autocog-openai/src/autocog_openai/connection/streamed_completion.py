"""One alternative of a completion as a server tells it, part by part, and where it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from autocog_core import Completion, CompletionRequest, FinishReason
from autocog_core.toolkit import StopMatcher


@dataclass(frozen=True, slots=True)
class Told:
    """A token as a server tells it: its id or its bytes, and its log-probability."""

    token: int | None
    raw: bytes
    logprob: float


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of one alternative.

    :ivar number: which alternative it belongs to.
    :ivar finish: "stop", "length" ..., with the last piece. `stop`: the stop string, where told.
    :ivar unsure: whether "stop" may be a stop string or the end, and the server does not say which.
    """

    number: int = 0
    text: str = ""
    tokens: Sequence[Told] = ()
    finish: str | None = None
    stop: str | None = None
    unsure: bool = False


class Written:
    """An alternative that grows by parts; stops are looked for here too.

    :param id_of: the id of a token's bytes; None where it is not one token.
    :param show: whether it is passed on as it grows.
    """

    def __init__(
        self,
        request: CompletionRequest,
        id_of: Callable[[bytes], int | None],
        *,
        show: bool,
    ) -> None:
        self.done = False
        self.heard = False
        self._request = request
        self._id_of = id_of
        self._matcher = StopMatcher(request.stop)
        self._on_text = request.on_text if show else None
        self._told: list[Told] = []
        self._length = 0
        self._finish: str | None = None
        self._stop: str | None = None

    @property
    def ended(self) -> bool:
        """Whether it was told to the end."""
        return self.done or self._finish is not None

    def take(self, part: Part) -> None:
        """Go on with a part; what can be shown is passed on."""
        if self.done:
            return
        self.heard = True
        room = self._request.max_tokens - len(self._told)
        self._told += part.tokens[:room]
        text = part.text
        if len(part.tokens) > room:
            # Some routes write more than was asked for.
            raw = b"".join(told.raw for told in self._told)
            text = raw.decode("utf-8", errors="replace")[self._length :]
            part = Part(finish="length")
            self.done = True
        self._length += len(text)
        if part.finish is not None:
            self._finish, self._stop = part.finish, part.stop
            if part.finish == "stop" and part.unsure and self._request.stop:
                # Which of them it was stays open, and whether it was the model's own end.
                self._finish = "stop string"
        if text and self._matcher.feed(text.encode("utf-8")):
            self.done = True
        self._show(final=self.done)

    def completion(self, evaluated: int | None = None) -> Completion:
        """What was written."""
        self._show(final=True)
        text = self._matcher.text()
        finish: FinishReason
        if self._matcher.stop is not None:
            finish, stop = "stop", self._matcher.stop
            self._cut(self._matcher.stop.encode("utf-8"))
        elif self._finish in ("length", "max_tokens", "max_output_tokens"):
            finish, stop = "length", None
        elif self._stop is not None or self._finish == "stop string":
            finish, stop = "stop", self._stop
        else:
            finish, stop = "eos", None
        tokens, logprobs = self._decided()
        return Completion(text, tokens, logprobs, finish, stop, tokens_evaluated=evaluated)

    def _cut(self, stop: bytes) -> None:
        """Tokens after the one that completes a stop were not asked for."""
        # By their bytes: the text has U+FFFD for those that are no character.
        raw = b""
        for place, told in enumerate(self._told):
            raw += told.raw
            if stop in raw[-len(stop) - len(told.raw) :]:
                del self._told[place + 1 :]
                return

    def _decided(self) -> tuple[tuple[int, ...], tuple[float, ...] | None]:
        if not self._told:
            return (), None
        ids = [
            told.token if told.token is not None else self._id_of(told.raw) for told in self._told
        ]
        known = tuple(token for token in ids if token is not None)
        logprobs = tuple(told.logprob for told in self._told)
        return (known if len(known) == len(ids) else ()), logprobs

    def _show(self, *, final: bool) -> None:
        if self._on_text is not None and (piece := self._matcher.releasable_text(final)):
            self._on_text(piece)
