"""Completions from a server that picks tokens itself, whatever its routes: parts come, texts grow.

A parameter that the model refuses is left out, said once, and remembered.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from autocog_core import AutocogError, Completion, CompletionRequest, EngineError
from autocog_openai.connection.client import Connection
from autocog_openai.connection.errors import (
    ConnectionFailedError,
    RefusedError,
    UnsupportedError,
    malformed,
)
from autocog_openai.connection.streamed_completion import Part, Written
from autocog_openai.connection.usage import Spending
from autocog_openai.routes.fields import MOST_STOPS

log = logging.getLogger(__name__)


class Route(Protocol):
    """A route of a server that writes text."""

    path: str
    #: Whether one request may ask for several alternatives.
    several: bool
    #: Whether it looks for stop strings itself.
    stops: bool
    #: Where parameters are called otherwise, for errors that name them.
    names: Mapping[str, str]

    def body(self, request: CompletionRequest, left_out: frozenset[str]) -> dict[str, Any]:
        """The request; `left_out`: parameters that the model refuses."""
        ...

    def parts(self, answer: Mapping[str, Any]) -> Iterable[Part]:
        """What a whole answer holds."""
        ...

    def events(self, events: Iterator[Any]) -> Iterator[Part]:
        """What a stream holds, as it comes."""
        ...


class Writer:
    """Writes through one route, and remembers what the model refuses.

    :param id_of: the id of a token's bytes; None where it is not one token.
    """

    def __init__(
        self,
        connection: Connection,
        route: Route,
        id_of: Callable[[bytes], int | None],
        refused: Sequence[str] = (),
    ) -> None:
        self.refused = frozenset(refused)
        self._connection = connection
        self._route = route
        self._id_of = id_of
        self._named: set[str] = set()
        self._naming = threading.Lock()

    def write(self, request: CompletionRequest) -> Completion:
        """All alternatives of a request, by as few requests as the route needs."""
        if request.n > 1 and request.temperature == 0:
            # Greedy decoding has one result, and some servers refuse to give it twice.
            one = self.write(replace(request, n=1))
            return replace(one, alternatives=(one,) * (request.n - 1))
        # A stop that the server does not look for must be seen as soon as it comes.
        cut = bool(request.stop) and ("stop" in self.refused or not self._route.stops)
        several = self._route.several and "n" not in self.refused
        if request.n == 1 or (several and request.on_text is None and not cut):
            found = self._once(request)
        else:
            singly = [
                replace(
                    request,
                    n=1,
                    seed=None if request.seed is None else request.seed + number,
                    on_text=request.on_text if number == 0 else None,
                )
                for number in range(request.n)
            ]
            found = [one for group in self._connection.gather(self._once, singly) for one in group]
        first, *others = found
        counts = [each.tokens_evaluated for each in found if each.tokens_evaluated is not None]
        return replace(
            first, alternatives=tuple(others), tokens_evaluated=sum(counts) if counts else None
        )

    def _once(self, request: CompletionRequest) -> list[Completion]:
        while True:
            left_out = self.refused
            self._name(left_out & self._route.body(request, frozenset()).keys())
            try:
                return self._ask(request, left_out)
            except UnsupportedError as error:
                name = self._route.names.get(error.parameter or "", error.parameter)
                if name is None or name in left_out or name in ("model", "prompt", "messages"):
                    raise
                self.refused |= {name}
                if name == "n":
                    # One by one, then.
                    found = self.write(request)
                    return [replace(found, alternatives=()), *found.alternatives]

    def _name(self, left_out: Iterable[str]) -> None:
        """Say what is left out, each once."""
        with self._naming:
            fresh = sorted(set(left_out) - self._named)
            self._named.update(fresh)
        for name in fresh:
            log.warning("%s does not take %s: it is left out", self._connection.where, name)

    def _ask(self, request: CompletionRequest, left_out: frozenset[str]) -> list[Completion]:
        body = self._route.body(request, left_out)
        written = [Written(request, self._id_of, show=number == 0) for number in range(request.n)]
        cut = bool(request.stop) and ("stop" in left_out or not self._route.stops)
        watched = request.on_text is not None or cut
        spending = Spending()
        if watched and request.n == 1:
            body["stream"] = True
            if "stream_options" not in left_out:
                body["stream_options"] = {"include_usage": True}
            with self._connection.stream(self._route.path, body, spending=spending) as events:
                for part in self._parts(self._route.events, events):
                    written[0].take(self._checked(part))
                    if written[0].done:
                        break
            if not written[0].ended:
                raise ConnectionFailedError(
                    "the stream ended before the text did",
                    where=self._connection.where,
                    retryable=True,
                )
        else:
            answer = self._connection.post(self._route.path, body, spending=spending)
            for part in self._parts(self._route.parts, answer):
                if 0 <= part.number < len(written):
                    written[part.number].take(self._checked(part))
            if not all(one.heard for one in written):
                raise malformed(self._connection.where, "fewer texts than were asked for")
        first, *others = written
        return [first.completion(spending.evaluated), *(other.completion(0) for other in others)]

    def _parts(self, read: Callable[[Any], Iterable[Part]], told: Any) -> Iterator[Part]:
        try:
            yield from read(told)
        except AutocogError:
            raise
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise malformed(self._connection.where, error) from error

    def _checked(self, part: Part) -> Part:
        if part.finish == "content_filter":
            raise RefusedError("a content filter cut the answer", where=self._connection.where)
        if part.finish in ("error", "abort", "cancelled", "failed"):
            raise EngineError("the server broke off", where=self._connection.where, retryable=True)
        return part


def drawing(request: CompletionRequest) -> dict[str, Any]:
    """How tokens are drawn: what is not as it is by default anyway."""
    body: dict[str, Any] = {"temperature": request.temperature, **request.extra}
    if request.top_p < 1:
        body["top_p"] = request.top_p
    if request.top_k > 0:
        body["top_k"] = request.top_k
    if request.min_p > 0:
        body["min_p"] = request.min_p
    return body


def sampling(request: CompletionRequest, server: str) -> dict[str, Any]:
    """How tokens are drawn, how many texts are written, and where they end."""
    body = drawing(request)
    if request.n > 1:
        body["n"] = request.n
    if request.seed is not None:
        body["seed"] = request.seed
    if request.stop and (server != "openai" or len(request.stop) <= MOST_STOPS):
        body["stop"] = list(request.stop)
    return body
