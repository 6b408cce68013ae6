"""Completions from llama-server, token by token, so that stop strings match on bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from autocog_core import Completion, CompletionRequest
from autocog_core.toolkit import CompletionBuilder, reject_unknown_options
from autocog_openai.connection.answer_fields import (
    FieldError,
    as_any,
    as_count,
    as_list,
    as_logprob,
    as_object,
    as_text,
    optional,
    read_ids,
    reading,
    required,
)
from autocog_openai.connection.client import Connection
from autocog_openai.connection.errors import ConnectionFailedError, malformed_answer_error
from autocog_openai.connection.server_capabilities import ServerCapabilities
from autocog_openai.servers.llama_server_scorer import LlamaServerScorer

#: Tokens for each request if a stop string may end the text. One is evaluated again each time.
CHUNK_TOKENS = 16
#: Makes the seeds of chunks differ.
CHUNK_SEED_FACTOR = 7919
EXTRA = ("repeat_penalty", "presence_penalty", "frequency_penalty", "typical_p")


class Tokenize(Protocol):
    """Returns the ids of a text."""

    def __call__(self, text: str, *, parse_special: bool) -> list[int]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chunk:
    """Tokens that the server wrote, with their log-probabilities.

    :ivar tokens_evaluated: prompt tokens that the server evaluated for them.
    """

    tokens: Sequence[int]
    logprobs: Sequence[float]
    tokens_evaluated: int = 0


class LlamaServerWriter:
    """Writes completions through `/completion`.

    :param tokenize: the server's tokenizer.
    """

    def __init__(
        self, connection: Connection, capabilities: ServerCapabilities, tokenize: Tokenize
    ) -> None:
        self._connection = connection
        self._capabilities = capabilities
        self._eos = capabilities.eos
        self._tokenize = tokenize
        self._scorer = LlamaServerScorer(connection, capabilities)

    def write(self, request: CompletionRequest, prompt: Sequence[int]) -> Completion:
        """Return the completion of a prompt, given as token ids."""
        reject_unknown_options(request.extra, EXTRA, self._connection.where)
        first, *others = self._connection.map_concurrently(
            lambda index: self._write_alternative(request, prompt, index), list(range(request.n))
        )
        evaluated = sum(completion.tokens_evaluated or 0 for completion in (first, *others))
        return replace(first, alternatives=tuple(others), tokens_evaluated=evaluated)

    def _write_alternative(
        self, request: CompletionRequest, prompt: Sequence[int], index: int
    ) -> Completion:
        builder = CompletionBuilder(request, self._scorer.bytes_of, self._eos, index)
        evaluated = 0
        is_shown = request.on_text is not None and index == 0
        read = self._read_stream if is_shown else self._read_in_chunks
        for chunk in read(request, prompt, builder, index):
            evaluated += chunk.tokens_evaluated
            for token, logprob in zip(chunk.tokens, chunk.logprobs, strict=True):
                if not builder.is_done:
                    builder.append(token, logprob)
            if builder.is_done:
                break
        completion = builder.completion()
        return replace(
            completion, tokens_evaluated=(evaluated or len(prompt)) + len(completion.tokens)
        )

    def _read_in_chunks(
        self,
        request: CompletionRequest,
        prompt: Sequence[int],
        builder: CompletionBuilder,
        index: int,
    ) -> Iterator[_Chunk]:
        """Request all tokens at once, or `CHUNK_TOKENS` if a stop string may end the text."""
        chunk_tokens = CHUNK_TOKENS if request.stop else request.max_tokens
        while not builder.is_done:
            before = [*prompt, *builder.tokens]
            length = min(chunk_tokens, request.max_tokens - len(builder.tokens))
            body = self._body(request, before, length, index, len(builder.tokens))
            answer = self._connection.post("/completion", {**body, "return_tokens": True})
            with reading(self._connection.where):
                tokens = [self._scorer.check_id(token) for token in read_ids(answer, "tokens")]
                scored = self._read_scored(answer)
                timings = required(answer, "timings", as_object)
                evaluated = required(timings, "prompt_n", as_count)
                is_eos = optional(answer, "stop_type", as_any) == "eos"
                if len(tokens) > length:
                    raise FieldError(f"it wrote {len(tokens)} tokens instead of {length}")
            logprobs = self._align_logprobs(before, tokens, scored)
            yield _Chunk(tokens=tokens, logprobs=logprobs, tokens_evaluated=evaluated)
            if not builder.is_done and is_eos:
                yield self._eos_chunk([*prompt, *builder.tokens])
            elif not tokens:
                raise malformed_answer_error(self._connection.where, "it wrote nothing")

    def _read_stream(
        self,
        request: CompletionRequest,
        prompt: Sequence[int],
        builder: CompletionBuilder,
        index: int,
    ) -> Iterator[_Chunk]:
        """Return each token as it arrives."""
        body = self._body(request, prompt, request.max_tokens, index, 0)
        where, stream = self._connection.where, {**body, "stream": True}
        sent = self._connection.stream("/completion", stream, progress=lambda: len(builder.tokens))
        with sent as events, reading(where):
            for event in events:
                before = [*prompt, *builder.tokens]
                if scored := self._read_scored(event):
                    tokens = self._event_tokens(event, scored, len(builder.tokens))
                    logprobs = self._align_logprobs(before, tokens, scored)
                    yield _Chunk(tokens=tokens, logprobs=logprobs)
                if optional(event, "stop_type", as_any) == "eos" and not builder.is_done:
                    yield self._eos_chunk([*prompt, *builder.tokens])
        if not builder.is_done:
            raise ConnectionFailedError(
                "the stream ended before the text did", where=self._connection.where, retryable=True
            )

    def _event_tokens(
        self, event: Any, scored: Sequence[tuple[int, float | None]], length: int
    ) -> list[int]:
        """Return the tokens of an event, including those that are incomplete characters.

        :param length: the number of tokens before the event.
        """
        if required(event, "tokens_predicted", as_count) <= length + len(scored):
            return [token for token, _ in scored]
        # The server returns incomplete characters only as text, once they are complete.
        tokens = self._tokenize(required(event, "content", as_text), parse_special=False)
        if tokens[-1:] != [scored[-1][0]]:
            raise FieldError("it hides tokens")
        return [self._scorer.check_id(token) for token in tokens]

    def _read_scored(self, answer: Any) -> list[tuple[int, float | None]]:
        """Return the tokens of an answer that have an entry, with their log-probabilities."""
        entries = optional(answer, "completion_probabilities", as_list) or ()
        return [
            (self._scorer.parse_id(entry), required(entry, "logprob", as_logprob))
            for entry in entries
        ]

    def _body(
        self,
        request: CompletionRequest,
        prompt: Sequence[int],
        length: int,
        index: int,
        written: int,
    ) -> dict[str, Any]:
        body: dict[str, Any] = {
            "prompt": list(prompt),
            "n_predict": length,
            "n_probs": 1,
            "temperature": request.temperature,
            "top_k": request.top_k,
            "top_p": request.top_p,
            "min_p": request.min_p,
            "cache_prompt": True,
            **request.extra,
            **self._capabilities.constraint_fields(request),
        }
        if request.seed is not None:
            # Alternatives and chunks need different random numbers.
            body["seed"] = (request.seed + index + written * CHUNK_SEED_FACTOR) % 2**32
        return body

    def _align_logprobs(
        self,
        before: Sequence[int],
        tokens: Sequence[int],
        scored: Sequence[tuple[int, float | None]],
    ) -> list[float]:
        """Return the log-probability of each token.

        The server returns none for incomplete characters. These are requested one by one.
        """
        remaining = list(reversed(scored))
        logprobs: list[float] = []
        for index, token in enumerate(tokens):
            fits = len(remaining) <= len(tokens) - index
            logprob = None
            if remaining and remaining[-1][0] == token and fits:
                logprob = remaining.pop()[1]
            if logprob is None or logprob == -math.inf:
                # A token that was written is not impossible.
                logprob = self._scorer.score_token([*before, *tokens[:index]], token)
            logprobs.append(logprob)
        return logprobs

    def _eos_chunk(self, before: Sequence[int]) -> _Chunk:
        """Return the most likely EOS token: the server does not report which one it sampled."""
        if not self._eos:
            raise malformed_answer_error(self._connection.where, "it ended with an unknown token")
        logprobs = {token: self._scorer.score_token(before, token) for token in self._eos}
        token = max(logprobs, key=lambda token: logprobs[token])
        return _Chunk(tokens=[token], logprobs=[logprobs[token]])
