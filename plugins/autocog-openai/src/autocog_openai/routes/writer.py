"""Completions through a route of OpenAI's API or a similar one.

If the model refuses a parameter, the writer omits it from then on. The log names it once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from autocog_core import Completion, CompletionRequest, EngineError
from autocog_core.toolkit import shorten
from autocog_openai.connection.answer_fields import (
    FieldError,
    as_list,
    optional,
    reading,
    required,
)
from autocog_openai.connection.client import Connection
from autocog_openai.connection.errors import (
    ConnectionFailedError,
    RefusedError,
    UnsupportedError,
    malformed_answer_error,
)
from autocog_openai.connection.finish_reasons import end_kind
from autocog_openai.connection.streamed_completion import CompletionChunk, StreamedCompletion
from autocog_openai.connection.usage import UsageCounter
from autocog_openai.routes.messages import begun_answer, without_begun_answer

log = logging.getLogger(__name__)

#: Parameters that cannot be omitted.
REQUIRED = ("model", "prompt", "messages")
#: Names of the limit of tokens on the routes.
LENGTH_PARAMETERS = frozenset(("max_tokens", "max_completion_tokens", "max_output_tokens"))


class Route(Protocol):
    """A route that writes text.

    :ivar path: as in `Connection.post`.
    :ivar supports_n: whether one request may return several alternatives.
    :ivar supports_stop: whether the server searches for stop strings.
    :ivar parameter_names: names of parameters in error messages, if they differ from those in the
        request.
    """

    path: str
    supports_n: bool
    supports_stop: bool
    parameter_names: Mapping[str, str]

    def body(self, request: CompletionRequest, unsupported: frozenset[str]) -> dict[str, Any]:
        """Return the body of a request, without the parameters in `unsupported`."""
        ...

    def read_answer(self, answer: Any) -> Iterable[CompletionChunk]:
        """Return the chunks of a complete answer."""
        ...

    def read_events(self, events: Iterator[Any]) -> Iterator[CompletionChunk]:
        """Return the chunks of a stream, as they arrive."""
        ...


class Writer:
    """Writes through one route, and remembers what the model refuses.

    :param id_of: returns the id of a token's bytes; None if they are not exactly one token.
    :param refused: parameters that the model is known to refuse.
    :param is_quiet: whether nothing is logged.
    :ivar unsupported_parameters: the parameters that are omitted.
    """

    def __init__(
        self,
        connection: Connection,
        route: Route,
        id_of: Callable[[bytes], int | None],
        refused: Sequence[str] = (),
        *,
        is_quiet: bool = False,
    ) -> None:
        self.unsupported_parameters = frozenset(refused)
        self._connection = connection
        self._route = route
        self._id_of = id_of
        self._is_quiet = is_quiet
        self._logged: set[str] = set()
        self._log_lock = threading.Lock()

    def write(self, request: CompletionRequest) -> Completion:
        """Write all alternatives of a request, with as few HTTP requests as possible."""
        if request.n > 1 and request.temperature == 0:
            # Greedy decoding has one result, and some servers refuse n > 1.
            greedy = self.write(replace(request, n=1))
            return replace(greedy, alternatives=(greedy,) * (request.n - 1))
        first, *others = self._write_all(request)
        counts = [
            completion.tokens_evaluated
            for completion in (first, *others)
            if completion.tokens_evaluated is not None
        ]
        return replace(
            first, alternatives=tuple(others), tokens_evaluated=sum(counts) if counts else None
        )

    def _write_all(self, request: CompletionRequest) -> list[Completion]:
        can_request_n = self._route.supports_n and "n" not in self.unsupported_parameters
        must_stream = request.on_text is not None or self._must_end_text(
            request, self.unsupported_parameters
        )
        if request.n == 1 or (can_request_n and not must_stream):
            return self._write_supported(request)
        requests = [
            replace(
                request,
                n=1,
                seed=None if request.seed is None else request.seed + index,
                on_text=request.on_text if index == 0 else None,
            )
            for index in range(request.n)
        ]
        groups = self._connection.map_concurrently(self._write_supported, requests)
        return [completion for group in groups for completion in group]

    def _must_end_text(self, request: CompletionRequest, unsupported: frozenset[str]) -> bool:
        """Whether only the plugin ends the text, and must see it as it comes."""
        if request.stop and ("stop" in unsupported or not self._route.supports_stop):
            return True
        # A refused limit may have another name in the request.
        return not unsupported.isdisjoint(LENGTH_PARAMETERS) and LENGTH_PARAMETERS.isdisjoint(
            self._route.body(request, unsupported)
        )

    def _write_supported(self, request: CompletionRequest) -> list[Completion]:
        """Write; repeat the request without each parameter that the model refuses."""
        while True:
            unsupported = self.unsupported_parameters
            self._log_omitted(unsupported & self._route.body(request, frozenset()).keys())
            try:
                return self._send(request, unsupported)
            except UnsupportedError as error:
                name = self._route.parameter_names.get(error.parameter or "", error.parameter)
                if name is None or name in unsupported or name in REQUIRED:
                    raise
                self.unsupported_parameters |= {name}
                self._log_omitted([name])
                if name == "n":
                    completion = self.write(request)
                    return [replace(completion, alternatives=()), *completion.alternatives]

    def _log_omitted(self, omitted: Iterable[str]) -> None:
        for name in sorted(omitted):
            self._log_once(name, f"does not support {name}: it is omitted")

    def _log_once(self, name: str, message: str) -> None:
        with self._log_lock:
            is_logged = name in self._logged
            self._logged.add(name)
        if not (is_logged or self._is_quiet):
            log.warning("%s %s", self._connection.where, message)

    def _send(self, request: CompletionRequest, unsupported: frozenset[str]) -> list[Completion]:
        body = self._route.body(request, unsupported)
        alternatives = [
            StreamedCompletion(request, self._id_of, show=index == 0) for index in range(request.n)
        ]
        must_stream = request.on_text is not None or self._must_end_text(request, unsupported)
        counter = UsageCounter()
        if must_stream and request.n == 1:
            if "stream_options" not in unsupported:
                body["stream_options"] = {"include_usage": True}
            self._receive_stream({**body, "stream": True}, alternatives[0], counter)
        else:
            answer = self._connection.post(self._route.path, body, counter=counter)
            begun = begun_answer(body.get("messages") or ())
            for chunk in self._parse(self._route.read_answer, answer):
                if chunk.index < len(alternatives):
                    raws = [token.raw for token in chunk.tokens]
                    chunk = replace(chunk, text=without_begun_answer(chunk.text, raws, begun))
                    alternatives[chunk.index].append(self._checked(chunk))
            if not all(alternative.has_chunks for alternative in alternatives):
                raise malformed_answer_error(
                    self._connection.where, "fewer alternatives than requested"
                )
        first, *others = alternatives
        return [
            first.completion(counter.tokens_evaluated),
            *(other.completion(0) for other in others),
        ]

    def _receive_stream(
        self, body: Mapping[str, Any], alternative: StreamedCompletion, counter: UsageCounter
    ) -> None:
        with self._connection.stream(
            self._route.path, body, progress=lambda: alternative.progress, counter=counter
        ) as events:
            for chunk in self._parse(self._route.read_events, events):
                if chunk.index == 0:
                    alternative.append_piece(self._checked(chunk))
                if alternative.is_done:
                    break
        if not alternative.has_ended:
            raise ConnectionFailedError(
                "the stream ended before the text did",
                where=self._connection.where,
                retryable=True,
            )

    def _parse(
        self, read: Callable[[Any], Iterable[CompletionChunk]], answer: Any
    ) -> Iterator[CompletionChunk]:
        with reading(self._connection.where):
            yield from read(answer)

    def _checked(self, chunk: CompletionChunk) -> CompletionChunk:
        match end_kind(chunk.finish_reason):
            case "refused":
                raise RefusedError("a content filter cut the answer", where=self._connection.where)
            case "cut":
                raise EngineError(
                    f"the server aborted the answer ({chunk.finish_reason})",
                    where=self._connection.where,
                    retryable=True,
                )
            case "unknown" if chunk.finish_reason is not None:
                self._log_once(
                    f"finish_reason {chunk.finish_reason}",
                    f'ends a text for an unknown reason: "{shorten(chunk.finish_reason)}"',
                )
        return chunk


def sampling_parameters(request: CompletionRequest) -> dict[str, Any]:
    """Return the temperature, and the other sampling parameters that are not the default."""
    body: dict[str, Any] = {"temperature": request.temperature, **request.extra}
    if request.top_p < 1:
        body["top_p"] = request.top_p
    if request.top_k > 0:
        body["top_k"] = request.top_k
    if request.min_p > 0:
        body["min_p"] = request.min_p
    return body


def answer_choices(answer: Any) -> list[Any]:
    """Return the choices of a complete answer.

    :raises FieldError: if it has none, or several with one index.
    """
    choices = required(answer, "choices", as_list)
    if not choices:
        raise FieldError("choices is empty")
    indexes = [choice.get("index") for choice in choices if isinstance(choice, Mapping)]
    if any(indexes.count(index) > 1 for index in indexes):
        raise FieldError("several choices have the same index")
    return choices


def event_choices(events: Iterable[Any]) -> Iterator[Any]:
    """Yield the choices of the events of a stream. Events of other kinds have none."""
    for event in events:
        yield from optional(event, "choices", as_list) or ()


def generation_parameters(
    request: CompletionRequest, max_stop_strings: int | None
) -> dict[str, Any]:
    """Return the sampling parameters, `n`, `seed` and `stop`.

    :param max_stop_strings: how many the server accepts; None is unlimited. More are not sent,
        because the plugin searches for them too.
    """
    body = sampling_parameters(request)
    if request.n > 1:
        body["n"] = request.n
    if request.seed is not None:
        body["seed"] = request.seed
    if request.stop and (max_stop_strings is None or len(request.stop) <= max_stop_strings):
        body["stop"] = list(request.stop)
    return body
