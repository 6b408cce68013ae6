"""One server: requests over one pool of connections, through the SDK, counted and bounded."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from functools import cache
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2
import openai
from pydantic_core import from_json

from autocog_core import ClosedError, ConfigError, EngineError, Usage
from autocog_core.toolkit import from_environment, redact, register_secret, shorten
from autocog_openai.connection.errors import MalformedAnswerError, translated
from autocog_openai.connection.options import OpenAIOptions
from autocog_openai.connection.usage import Spending, usage_of

KEY = "env:OPENAI_API_KEY"
#: Idle connections are let go before servers on uvicorn do it (5 s): a request sent at that very
#: moment would be lost.
IDLE_SECONDS = 3.0
Item = TypeVar("Item")
Result = TypeVar("Result")
Body = Mapping[str, Any]


class Connection:
    """Requests to one server: at most `max_concurrency` at once, from any number of threads.

    :param options: where it is, and how long and how often to try.
    :raises ConfigError: without a key where one is needed.
    """

    def __init__(self, options: OpenAIOptions) -> None:
        self.options = options
        client = httpx2.Client(
            transport=_DeadlineTransport(2 * options.max_concurrency, options.timeout),
            timeout=httpx2.Timeout(options.timeout, pool=None),
            follow_redirects=True,
        )
        self._client = openai.OpenAI(
            api_key=_key(options),
            base_url=options.base_url,
            organization=options.organization,
            max_retries=options.max_retries,
            timeout=options.timeout,
            default_headers=options.headers,
            http_client=client,
        )
        self.base_url = str(self._client.base_url).rstrip("/")
        parts = urlsplit(self.base_url)
        for secret in (parts.password, *options.headers.values()):
            register_secret(secret or "")
        #: Native routes lie beside /v1.
        self.root = self.base_url.removesuffix("/v1")
        self.where = f"{options.model} at {parts.netloc.rpartition('@')[2]}"
        self.closed = False
        #: Requests that failed on the server's side.
        self.failures = 0
        self._slots = threading.BoundedSemaphore(options.max_concurrency)
        self._beside = threading.BoundedSemaphore(options.max_concurrency)
        self._streaming = threading.local()
        self._workers = ThreadPoolExecutor(options.max_concurrency, "autocog-openai")
        self._spending = Spending()

    @property
    def usage(self) -> Usage:
        """What was asked so far."""
        return self._spending.usage

    def get(self, route: str) -> Any:
        """The JSON behind a route, "/..." beside /v1, or "v1/..." under the base."""
        return self._json(lambda: self._client.get(self._url(route), cast_to=httpx2.Response))

    def post(self, route: str, body: Body, *, spending: Spending | None = None) -> Any:
        """The JSON that answers a request.

        :param spending: of what it is a part of, to be counted there too.
        :raises AutocogError: of the kind that fits; see `failures`.
        """
        found = self._json(
            lambda: self._client.post(self._url(route), cast_to=httpx2.Response, body=dict(body))
        )
        self._count(usage_of(found), spending)
        return found

    @contextmanager
    def stream(
        self, route: str, body: Body, *, spending: Spending | None = None
    ) -> Iterator[Iterator[Any]]:
        """The events that answer a request; leaving early cuts the connection.

        :param spending: as in `post`. A server tells the usage with the last event: of a stream
            that is left before, every event counts as a token, and its prompt as nothing.
        """
        with self._turn(), translated(self.where):
            events = self._client.post(
                self._url(route),
                cast_to=object,
                body=dict(body),
                stream=True,
                stream_cls=openai.Stream[object],
            )
            self._streaming.now = True
            try:
                with events, closing(self._watched(events, spending)) as watched:
                    yield watched
            finally:
                self._streaming.now = False

    def gather(self, call: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """`call` of each item, all at once; the first error is raised once all have ended.

        Never call it from within itself: its workers would wait for one another.
        """
        if len(items) < 2:
            return [call(item) for item in items]
        futures: list[Future[Result]] = []
        try:
            futures += (self._workers.submit(call, item) for item in items)
            return [future.result() for future in futures]
        except BaseException as error:
            running = [future for future in futures if not future.cancel()]
            if isinstance(error, Exception):
                wait(running)
                if self.closed:
                    # What was waiting is cancelled when the model is closed.
                    raise self._is_closed() from error
            raise

    def close(self) -> None:
        """Let go of all connections."""
        self.closed = True
        self._workers.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _url(self, route: str) -> str:
        return self.root + route if route.startswith("/") else f"{self.base_url}/{route[3:]}"

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for a connection here: waiting in the pool would count as the request's time.

        What is asked amid a stream has connections of its own, or streams could wait for each
        other's end.
        """
        with self._beside if getattr(self._streaming, "now", False) else self._slots:
            # Asked inside: it may have been closed while this waited for its turn.
            if self.closed:
                raise self._is_closed()
            try:
                yield
            except EngineError as error:
                if self.closed:
                    raise self._is_closed() from error
                self.failures += 1
                raise

    def _is_closed(self) -> ClosedError:
        return ClosedError("the model is closed", where=self.where, hint="load it again")

    def _json(self, send: Callable[[], httpx2.Response]) -> Any:
        with self._turn(), translated(self.where):
            content = send().content
        try:
            return from_json(content)
        except ValueError as error:
            shown = shorten(redact(content.decode("utf-8", errors="replace")))
            raise MalformedAnswerError(
                f"the server answered with no JSON ({error}): {shown!r}",
                where=self.where,
                hint="is it the right server, and not a proxy's error page?",
                retryable=True,
            ) from error

    def _watched(
        self, events: Iterator[Any], spending: Spending | None
    ) -> Generator[Any, None, None]:
        told, count = None, 0
        try:
            for event in events:
                told, count = usage_of(event) or told, count + 1
                yield event
        finally:
            if count:
                self._count(told or Usage(requests=1, completion_tokens=count), spending)

    def _count(self, usage: Usage | None, spending: Spending | None) -> None:
        for each in (self._spending, spending):
            if each is not None:
                each.add(usage)


def _key(options: OpenAIOptions) -> str:
    given = options.api_key
    if given is not None and not given.startswith("env:"):
        register_secret(given)
        return given
    found = from_environment(given or KEY)
    if found:
        return found
    if given is not None or options.base_url is None:
        raise ConfigError(
            f"{(given or KEY).removeprefix('env:')} is not set",
            where="api_key",
            hint='set it, or give api_key = "env:NAME"',
        )
    # Servers of one's own mostly ask for none, but the SDK wants some.
    return "none"


@cache
def _certificates() -> ssl.SSLContext:
    # Reading them takes a while: several models share them.
    return httpx2.create_ssl_context()


class _DeadlineTransport(httpx2.HTTPTransport):
    """Ends an answer that takes longer than `seconds` as a whole, however it trickles in.

    A stream of events may take longer: there each event must come in time.
    """

    def __init__(self, connections: int, seconds: float) -> None:
        limits = httpx2.Limits(
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=IDLE_SECONDS,
        )
        super().__init__(verify=_certificates(), limits=limits)
        self._seconds = seconds

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        begun = time.monotonic()
        response = super().handle_request(request)
        events = response.headers.get("content-type", "").startswith("text/event-stream")
        assert isinstance(response.stream, httpx2.SyncByteStream)
        left = self._seconds - (time.monotonic() - begun)
        response.stream = _Timed(response.stream, left, request, self._seconds if events else 0.0)
        return response


class _Timed(httpx2.SyncByteStream):
    """Bytes, waited for `left` seconds in all; with `each`, so many more after every event."""

    def __init__(
        self, stream: httpx2.SyncByteStream, left: float, request: httpx2.Request, each: float
    ) -> None:
        self._stream, self._left, self._request, self._each = stream, left, request, each

    def __iter__(self) -> Iterator[bytes]:
        begun = time.monotonic()
        for part in self._stream:
            self._left -= time.monotonic() - begun
            if self._left < 0:
                raise httpx2.ReadTimeout("the answer takes too long", request=self._request)
            # A line at least: the empty one after it may come with the next part.
            if self._each and b"\n" in part:
                self._left = self._each
            yield part
            # What is done with it in between is not the server's time.
            begun = time.monotonic()

    def close(self) -> None:
        self._stream.close()
