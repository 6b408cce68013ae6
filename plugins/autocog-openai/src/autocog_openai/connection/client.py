"""Requests to one server through the SDK, over one pool of connections."""

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
from autocog_openai.connection.errors import MalformedAnswerError, translate_sdk_errors
from autocog_openai.connection.options import OpenAIOptions
from autocog_openai.connection.usage import UsageCounter, usage_of

DEFAULT_KEY = "env:OPENAI_API_KEY"
#: Idle connections are closed before uvicorn closes them (5 s), or a request could be lost.
IDLE_SECONDS = 3.0
Item = TypeVar("Item")
Result = TypeVar("Result")
Body = Mapping[str, Any]


class Connection:
    """Requests to one server, at most `max_concurrency` at the same time. Thread-safe.

    :param options: the address, the key, the limits and the number of retries.
    :raises ConfigError: if a key is needed and there is none.
    :ivar base_url: the address, with `/v1`.
    :ivar root: the address without `/v1`: the server's native routes.
    :ivar where: the model and the server, for errors.
    :ivar is_closed: whether `close` was called.
    :ivar failures: the number of requests that failed inside the server.
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
        self.root = self.base_url.removesuffix("/v1")
        self.where = f"{options.model} at {parts.netloc.rpartition('@')[2]}"
        self.is_closed = False
        self.failures = 0
        self._slots = threading.BoundedSemaphore(options.max_concurrency)
        self._nested_slots = threading.BoundedSemaphore(options.max_concurrency)
        self._thread = threading.local()
        self._workers = ThreadPoolExecutor(options.max_concurrency, "autocog-openai")
        self._usage = UsageCounter()

    @property
    def usage(self) -> Usage:
        """The usage of all requests so far."""
        return self._usage.usage

    def get(self, route: str) -> Any:
        """Return the JSON of a route.

        :param route: "/..." is a native route, "v1/..." is below the base address.
        :raises AutocogError: of a type in `errors`.
        """
        return self._json(lambda: self._client.get(self._url(route), cast_to=httpx2.Response))

    def post(self, route: str, body: Body, *, counter: UsageCounter | None = None) -> Any:
        """Send a request and return the JSON of the answer.

        :param route: as in `get`.
        :param counter: also counts the usage.
        :raises AutocogError: of a type in `errors`.
        """
        answer = self._json(
            lambda: self._client.post(self._url(route), cast_to=httpx2.Response, body=dict(body))
        )
        self._count(usage_of(answer), counter)
        return answer

    @contextmanager
    def stream(
        self, route: str, body: Body, *, counter: UsageCounter | None = None
    ) -> Iterator[Iterator[Any]]:
        """Send a request and return the events of the answer. Leaving early cuts the connection.

        A server reports the usage with the last event. If the caller leaves before, each event
        counts as one token, and the prompt counts as zero.

        :param route: as in `get`.
        :param counter: also counts the usage.
        :raises AutocogError: of a type in `errors`.
        """
        with self._slot(), translate_sdk_errors(self.where):
            events = self._client.post(
                self._url(route),
                cast_to=object,
                body=dict(body),
                stream=True,
                stream_cls=openai.Stream[object],
            )
            self._thread.is_streaming = True
            try:
                with events, closing(self._counted_events(events, counter)) as counted:
                    yield counted
            finally:
                self._thread.is_streaming = False

    def map_concurrently(
        self, call: Callable[[Item], Result], items: Sequence[Item]
    ) -> list[Result]:
        """Call `call` with each item at the same time, and return the results in order.

        The first error is raised after all calls have ended. Do not nest: the workers would wait
        for each other.
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
                if self.is_closed:
                    # Closing the model cancels the calls that wait.
                    raise self._closed_error() from error
            raise

    def close(self) -> None:
        """Close all connections."""
        self.is_closed = True
        self._workers.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _url(self, route: str) -> str:
        return self.root + route if route.startswith("/") else f"{self.base_url}/{route[3:]}"

    @contextmanager
    def _slot(self) -> Iterator[None]:
        """Wait until another request may start: waiting in the pool would count for the timeout.

        Requests during a stream have separate slots. Otherwise streams could wait for each other.
        """
        with self._nested_slots if getattr(self._thread, "is_streaming", False) else self._slots:
            # Checked inside: the model may have been closed while this request waited.
            if self.is_closed:
                raise self._closed_error()
            try:
                yield
            except EngineError as error:
                if self.is_closed:
                    raise self._closed_error() from error
                self.failures += 1
                raise

    def _closed_error(self) -> ClosedError:
        return ClosedError("the model is closed", where=self.where, hint="load it again")

    def _json(self, send: Callable[[], httpx2.Response]) -> Any:
        with self._slot(), translate_sdk_errors(self.where):
            content = send().content
        try:
            return from_json(content)
        except ValueError as error:
            excerpt = shorten(redact(content.decode("utf-8", errors="replace")))
            raise MalformedAnswerError(
                f"the server's answer is not JSON ({error}): {excerpt!r}",
                where=self.where,
                hint="check base_url: a proxy may have sent an error page",
                retryable=True,
            ) from error

    def _counted_events(
        self, events: Iterator[Any], counter: UsageCounter | None
    ) -> Generator[Any, None, None]:
        usage, count = None, 0
        try:
            for event in events:
                usage, count = usage_of(event) or usage, count + 1
                yield event
        finally:
            if count:
                self._count(usage or Usage(requests=1, completion_tokens=count), counter)

    def _count(self, usage: Usage | None, counter: UsageCounter | None) -> None:
        self._usage.add(usage)
        if counter is not None:
            counter.add(usage)


def _key(options: OpenAIOptions) -> str:
    option = options.api_key
    if option is not None and not option.startswith("env:"):
        register_secret(option)
        return option
    key = from_environment(option or DEFAULT_KEY)
    if key:
        return key
    if option is not None or options.base_url is None:
        raise ConfigError(
            f"{(option or DEFAULT_KEY).removeprefix('env:')} is not set",
            where="api_key",
            hint='set it, or give api_key = "env:NAME"',
        )
    # Local servers usually need no key, but the SDK does.
    return "none"


@cache
def _certificates() -> ssl.SSLContext:
    # Shared by all models: reading them takes a while.
    return httpx2.create_ssl_context()


class _DeadlineTransport(httpx2.HTTPTransport):
    """Aborts an answer that takes longer than `seconds` in total.

    In a stream of events, each event must arrive within `seconds`.
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
        start = time.monotonic()
        response = super().handle_request(request)
        is_stream = response.headers.get("content-type", "").startswith("text/event-stream")
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _DeadlineStream(
            response.stream,
            request,
            remaining=self._seconds - (time.monotonic() - start),
            per_event=self._seconds if is_stream else 0.0,
        )
        return response


class _DeadlineStream(httpx2.SyncByteStream):
    """An answer's bytes, which must arrive in time.

    :param remaining: seconds to wait in total.
    :param per_event: if not 0, seconds to wait after each event.
    """

    def __init__(
        self,
        stream: httpx2.SyncByteStream,
        request: httpx2.Request,
        *,
        remaining: float,
        per_event: float,
    ) -> None:
        self._stream, self._request = stream, request
        self._remaining, self._per_event = remaining, per_event

    def __iter__(self) -> Iterator[bytes]:
        start = time.monotonic()
        for part in self._stream:
            self._remaining -= time.monotonic() - start
            if self._remaining < 0:
                raise httpx2.ReadTimeout("the answer takes too long", request=self._request)
            # One line is enough: the empty line after it may come with the next part.
            if self._per_event and b"\n" in part:
                self._remaining = self._per_event
            yield part
            # The caller's time between two parts does not count.
            start = time.monotonic()

    def close(self) -> None:
        self._stream.close()
