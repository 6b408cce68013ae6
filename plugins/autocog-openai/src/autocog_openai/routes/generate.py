"""/generate: SGLang's native route, which accepts and returns token ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from autocog_core import CompletionRequest, Prompt
from autocog_core.toolkit import reject_unknown_options
from autocog_openai.connection.answer_fields import (
    FieldError,
    as_any,
    as_list,
    as_logprob,
    as_object,
    as_text,
    as_token_id,
    optional,
    required,
)
from autocog_openai.connection.server_capabilities import ServerCapabilities
from autocog_openai.connection.streamed_completion import CompletionChunk, ServerToken
from autocog_openai.routes.writer import sampling_parameters

EXTRA = (
    *("presence_penalty", "frequency_penalty", "repetition_penalty", "ebnf", "min_new_tokens"),
    "ignore_eos",
)


class GenerateRoute:
    """SGLang's native route.

    :param send_prompt: returns a prompt's token ids.
    :param token_bytes: returns the bytes of a token.
    """

    path = "/generate"
    supports_stop = True
    supports_n = True
    parameter_names: Mapping[str, str] = {}

    def __init__(
        self,
        capabilities: ServerCapabilities,
        send_prompt: Callable[[Prompt], list[int] | str],
        token_bytes: Callable[[int], bytes],
    ) -> None:
        self._capabilities = capabilities
        self._send_prompt = send_prompt
        self._token_bytes = token_bytes

    def body(self, request: CompletionRequest, unsupported: frozenset[str]) -> dict[str, Any]:
        """Return the body of a request: see `Route`."""
        reject_unknown_options(request.extra, EXTRA, self._capabilities.model)
        parameters = {
            "max_new_tokens": request.max_tokens,
            **sampling_parameters(request),
            **self._capabilities.constraint_fields(request),
        }
        if request.n > 1:
            parameters["n"] = request.n
        if request.seed is not None:
            parameters["sampling_seed"] = request.seed
        if request.stop:
            parameters["stop"] = list(request.stop)
        return {
            "input_ids": self._send_prompt(request.prompt),
            "sampling_params": parameters,
            "return_logprob": True,
            "logprob_start_len": -1,
        }

    def read_answer(self, answer: Any) -> Iterable[CompletionChunk]:
        """Return the chunks of a complete answer."""
        answers = answer if isinstance(answer, list) else [answer]
        return [self._read(index, item, 0, 0) for index, item in enumerate(answers)]

    def read_events(self, events: Iterator[Any]) -> Iterator[CompletionChunk]:
        """Return the chunks of a stream. Each event repeats the text before it."""
        length = count = 0
        for event in events:
            chunk = self._read(0, event, length, count)
            length += len(chunk.text)
            count += len(chunk.tokens)
            yield chunk

    def _read(self, index: int, answer: Any, length: int, count: int) -> CompletionChunk:
        """Return what an answer adds after `length` characters and `count` tokens."""
        meta = required(answer, "meta_info", as_object)
        entries = optional(meta, "output_token_logprobs", as_list) or []
        # The reason is an object, or null before the end of a stream.
        reason = required(meta, "finish_reason", as_any)
        matched = None
        if reason is not None and not isinstance(reason, str):
            matched = optional(reason, "matched", as_any)
            reason = required(reason, "type", as_text)
        return CompletionChunk(
            index=index,
            text=required(answer, "text", as_text)[length:],
            tokens=[self._read_token(entry) for entry in entries[count:]],
            finish_reason=as_text(reason, "finish_reason") or None if reason is not None else None,
            stop_string=as_text(matched, "matched") if isinstance(matched, str) else None,
        )

    def _read_token(self, entry: Any) -> ServerToken:
        token, logprob = read_entry(entry)
        return ServerToken(token=token, raw=self._token_bytes(token), logprob=logprob)


def read_entry(entry: Any) -> tuple[int, float | None]:
    """Return the id and the log-probability of an entry: a log-probability, an id and a text.

    :raises FieldError: if it is malformed.
    """
    items = as_list(entry, "entry of log-probabilities")
    if len(items) < 2:
        raise FieldError("an entry of log-probabilities has no token id")
    return as_token_id(items[1], "token id"), as_logprob(items[0], "log-probability")
