"""One alternative of a completion, collected from the chunks that a server sends."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from autocog_core import Completion, CompletionRequest, FinishReason
from autocog_core.toolkit import StopMatcher
from autocog_openai.connection.finish_reasons import end_kind
from autocog_openai.connection.token_text import REPLACEMENT_BYTES, covers_text, spells_text


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerToken:
    """A generated token.

    :ivar token: its id; None if the server returns only the bytes.
    :ivar raw: its bytes; empty if the server returns only the id, and for special tokens.
    :ivar logprob: its log-probability; None if the server returns none.
    """

    token: int | None
    raw: bytes
    logprob: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionChunk:
    """A part of one alternative.

    :ivar index: the alternative that it belongs to.
    :ivar text: the text that it adds.
    :ivar tokens: the tokens that it adds.
    :ivar finish_reason: the server's reason, for example "stop" or "length", in the last chunk.
    :ivar stop_string: the stop string that ended the text, if the server reports it.
    :ivar uncertain_end: whether "stop" means a stop string or EOS, and the server does not say
        which.
    """

    index: int = 0
    text: str = ""
    tokens: Sequence[ServerToken] = ()
    finish_reason: str | None = None
    stop_string: str | None = None
    uncertain_end: bool = False


class StreamedCompletion:
    """An alternative that grows chunk by chunk. It searches for stop strings too.

    :param request: the completion that was requested.
    :param id_of: returns the id of a token's bytes; None if they are not exactly one token.
    :param show: whether `request.on_text` receives the text.
    :ivar is_done: whether no further chunk is needed.
    :ivar has_chunks: whether at least one chunk was received.
    """

    def __init__(
        self,
        request: CompletionRequest,
        id_of: Callable[[bytes], int | None],
        *,
        show: bool,
    ) -> None:
        self.is_done = False
        self.has_chunks = False
        self._request = request
        self._id_of = id_of
        self._matcher = StopMatcher(request.stop)
        self._on_text = request.on_text if show else None
        self._tokens: list[ServerToken] = []
        self._pieces = 0
        self._length = 0
        self._finish_reason: str | None = None
        self._stop_string: str | None = None
        self._uncertain_end = False

    @property
    def has_ended(self) -> bool:
        """Whether the text is complete."""
        return self.is_done or self._finish_reason is not None

    @property
    def progress(self) -> int:
        """How much was received: the number of tokens, or of pieces of text without tokens."""
        return len(self._tokens) + self._pieces + (self._finish_reason is not None)

    def append_piece(self, chunk: CompletionChunk) -> None:
        """Add a chunk of a stream.

        As a chunk has at least a token, the text ends after `max_tokens` chunks, also if a server
        ignores this limit and returns no tokens.
        """
        if chunk.text and not chunk.tokens:
            self._pieces += 1
            if not self._tokens and self._pieces > self._request.max_tokens:
                self.append(CompletionChunk(finish_reason="length"))
                self.is_done = True
                return
        self.append(chunk)

    def append(self, chunk: CompletionChunk) -> None:
        """Add a chunk, and pass on the text that can no longer be part of a stop string."""
        if self.is_done:
            return
        self.has_chunks = True
        room = self._request.max_tokens - len(self._tokens)
        self._tokens += chunk.tokens[:room]
        text = chunk.text
        if len(chunk.tokens) > room:
            # Some routes write more tokens than requested.
            raw = b"".join(token.raw for token in self._tokens)
            text = raw.decode("utf-8", errors="replace")[self._length :]
            chunk = CompletionChunk(finish_reason="length")
            self.is_done = True
        self._length += len(text)
        if chunk.finish_reason is not None:
            self._finish_reason, self._stop_string = chunk.finish_reason, chunk.stop_string
            self._uncertain_end = chunk.uncertain_end
        if text and self._matcher.feed(text.encode("utf-8")):
            self.is_done = True
        self._release_text(final=self.is_done)

    def completion(self, tokens_evaluated: int | None = None) -> Completion:
        """Return the completion."""
        self._release_text(final=True)
        text = self._matcher.text()
        finish_reason, stop_string = self._find_end()
        token_ids, logprobs = self._token_results()
        return Completion(
            text=text,
            tokens=token_ids,
            logprobs=logprobs,
            finish_reason=finish_reason,
            stop_string=stop_string,
            tokens_evaluated=tokens_evaluated,
        )

    def _find_end(self) -> tuple[FinishReason, str | None]:
        if self._matcher.stop is not None:
            self._drop_tokens_after(self._matcher.stop.encode("utf-8"))
            return "stop", self._matcher.stop
        kind = end_kind(self._finish_reason)
        if kind == "length":
            return "length", None
        if kind == "stop" and not self._request.stop:
            # A stop string of the server's own.
            return "unknown", None
        if kind in ("end", "stop") and (
            kind == "stop"
            or self._stop_string is not None
            or (self._uncertain_end and self._request.stop)
        ):
            return "stop", self._stop_string
        return ("eos", None) if kind in ("end", "eos") else ("unknown", None)

    def _drop_tokens_after(self, stop: bytes) -> None:
        """Drop the tokens after the one that completes a stop string."""
        # Compare bytes: in the text, U+FFFD replaces incomplete characters.
        raw = b""
        for index, token in enumerate(self._tokens):
            raw += token.raw
            if stop in raw[-len(stop) - len(token.raw) :]:
                del self._tokens[index + 1 :]
                return

    def _token_results(self) -> tuple[tuple[int, ...], tuple[float, ...] | None]:
        """Return the ids (none if one of them is unknown) and the log-probabilities.

        Both only if the tokens are those of the text.
        """
        raws, text = [token.raw for token in self._tokens], self._matcher.text()
        has_only_ids = any(token.token is not None and not token.raw for token in self._tokens)
        if not raws or not (has_only_ids or covers_text(raws, text, self._request.stop)):
            return (), None
        is_spelled = spells_text(raws, text)
        ids = [
            self._find_id(token.raw) if token.token is None and is_spelled else token.token
            for token in self._tokens
        ]
        known_ids = tuple(token for token in ids if token is not None)
        # A token that was written is not impossible: its log-probability is not known.
        logprobs = tuple(
            token.logprob
            for token in self._tokens
            if token.logprob is not None and token.logprob > -math.inf
        )
        return (
            known_ids if len(known_ids) == len(raws) else (),
            logprobs if len(logprobs) == len(raws) else None,
        )

    def _find_id(self, raw: bytes) -> int | None:
        return None if REPLACEMENT_BYTES in raw else self._id_of(raw)

    def _release_text(self, *, final: bool) -> None:
        if self._on_text is not None and (text := self._matcher.releasable_text(final)):
            self._on_text(text)
