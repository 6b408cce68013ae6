"""Requests to one server through the SDK, over one pool of connections."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import httpx2
import openai
from pydantic_core import from_json

from autocog_core import ClosedError, ConfigError, EngineError, Usage
from autocog_core.toolkit import redact, register_secret_url, shorten
from autocog_openai.connection.answer_errors import error_in
from autocog_openai.connection.credentials import read_headers, read_key
from autocog_openai.connection.errors import (
    SHAPE_ERRORS,
    MalformedAnswerError,
    malformed_answer_error,
)
from autocog_openai.connection.http_client import create_http_client, is_json
from autocog_openai.connection.limits import RequestLimits
from autocog_openai.connection.options import OpenAIOptions
from autocog_openai.connection.sdk_errors import error_of_event, translate_sdk_errors
from autocog_openai.connection.usage import UsageCounter, usage_of

DEFAULT_BASE_URL = "https://api.openai.com/v1"
#: How many timeouts the thoughts of a stream may take together. Each one has a timeout too.
MAX_THINKING_TIMEOUTS = 10
#: Fields of an event with a piece of what a model thinks.
THINKING_FIELDS = ("reasoning_content", "reasoning", "reasoning_details", "thinking")
Item = TypeVar("Item")
Result = TypeVar("Result")
Body = Mapping[str, Any]


class Connection:
    """Requests to one server, at most `max_concurrency` at the same time. Thread-safe.

    :param options: the address, the key, the limits and the number of retries.
    :raises ConfigError: if a key is needed and there is none.
    :ivar base_url: the address, with `/v1`, and with its query if it has one.
    :ivar root: the address without `/v1` and query: the server's native routes.
    :ivar where: the model and the server, for errors.
    :ivar is_closed: whether `close` was called.
    :ivar failures: the number of requests that failed inside the server.
    :ivar malformed: the number of answers to the requests of a probe that were malformed.
    """

    def __init__(self, options: OpenAIOptions) -> None:
        self.options = options
        self.base_url, self._base, self._query = _split_address(options.base_url)
        self.root = self._base.removesuffix("/v1")
        server = urlsplit(self._base).netloc.rpartition("@")[2]
        self.where = f"{options.model} at {server}"
        headers = read_headers(options)
        key = read_key(options, headers)
        self._limits = RequestLimits(options.timeout, self.where)
        client = create_http_client(
            options,
            httpx2.URL(self._base),
            self._limits,
            sends_key=key is not None or "authorization" in map(str.lower, headers),
            where=self.where,
        )
        self._client = openai.OpenAI(
            # Local servers usually need no key, but the SDK does.
            api_key=key or "none",
            base_url=self._base,
            organization=options.organization,
            max_retries=options.max_retries,
            timeout=options.timeout,
            default_headers=headers,
            http_client=client,
        )
        self.is_closed = False
        self.failures = 0
        self.malformed = 0
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
        self,
        route: str,
        body: Body,
        *,
        progress: Callable[[], int],
        counter: UsageCounter | None = None,
    ) -> Iterator[Iterator[Any]]:
        """Send a request and return the events of the answer. Leaving early cuts the connection.

        A server reports the usage with the last event. If the caller leaves before, each event
        counts as one token, and the prompt counts as zero.

        :param route: as in `get`.
        :param progress: returns how much of the text was received. All events without progress
            share one timeout.
        :param counter: also counts the usage.
        :raises AutocogError: of a type in `errors`.
        """
        with self._slot(), translate_sdk_errors(self.where):
            self._limits.is_streaming = True
            try:
                events = self._client.post(
                    self._url(route),
                    cast_to=object,
                    body=dict(body),
                    stream=True,
                    stream_cls=openai.Stream[object],
                )
            finally:
                self._limits.is_streaming = False
            self._thread.is_streaming = True
            try:
                with events, closing(self._counted_events(events, progress, counter)) as counted:
                    if is_json(events.response):
                        message = "a whole answer in place of a stream"
                        raise malformed_answer_error(self.where, message)
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
        url = self.root + route if route.startswith("/") else f"{self._base}/{route[3:]}"
        return f"{url}?{self._query}" if self._query else url

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
                excerpt = shorten(redact(content[:1000].decode("utf-8", errors="replace")))
                raise MalformedAnswerError(
                    f"the server's answer is not JSON ({error}): {excerpt!r}",
                    where=self.where,
                    hint="check base_url: a proxy may have sent an error page",
                    retryable=True,
                ) from error

    def _counted_events(
        self, events: Iterator[Any], progress: Callable[[], int], counter: UsageCounter | None
    ) -> Generator[Any, None, None]:
        usage, count = None, 0
        try:
            for event in self._timed_events(events, progress):
                usage, count = usage_of(event) or usage, count + 1
                yield event
        finally:
            if count:
                self._count(usage or Usage(requests=1, completion_tokens=count), counter)

    def _timed_events(
        self, events: Iterator[Any], progress: Callable[[], int]
    ) -> Generator[Any, None, None]:
        """Yield events that bring an answer further in time, and are no errors."""
        timeout = self.options.timeout
        seconds, for_thoughts = self._limits.seconds_left, MAX_THINKING_TIMEOUTS * timeout
        while True:
            before = progress()
            # The caller's time since the last event does not count.
            self._limits.restart(seconds)
            try:
                event = next(events)
            except StopIteration:
                return
            except (ValueError, RecursionError) as error:
                raise malformed_answer_error(self.where, error) from error
            reported = error_in(event)
            if reported is not None:
                raise error_of_event(reported, self.where)
            waited, seconds = seconds, self._limits.seconds_left
            yield event
            if progress() != before:
                seconds = timeout
            elif _thinks(event):
                for_thoughts -= waited - seconds
                seconds = min(timeout, for_thoughts)

    def _count(self, usage: Usage | None, counter: UsageCounter | None) -> None:
        self._usage.add(usage)
        if counter is not None:
            counter.add(usage)


def _thinks(event: Any) -> bool:
    """Whether an event brings a piece of what the model thinks before it answers."""
    try:
        if "reasoning" in str(event.get("type")):
            return bool(event.get("delta"))
        deltas = [choice.get("delta") or choice for choice in event.get("choices") or ()]
        return any(delta.get(name) for delta in deltas for name in THINKING_FIELDS)
    except SHAPE_ERRORS:
        return False


def _split_address(option: str | None) -> tuple[str, str, str]:
    """Return the server's address, the part before the query, and the query.

    :raises ConfigError: if it is no address of a web server.
    """
    address = option or os.environ.get("OPENAI_BASE_URL") or DEFAULT_BASE_URL
    register_secret_url(address)
    try:
        parts = urlsplit(address.strip())
        is_valid = parts.scheme in ("http", "https") and httpx2.URL(address.strip()).host
    except (ValueError, httpx2.InvalidURL):
        is_valid = False
    if not is_valid:
        raise ConfigError(
            f"{address!r} is not an address of a server",
            where="base_url",
            hint='it looks like "https://host:8000/v1"',
        )
    base = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
    return (f"{base}?{parts.query}" if parts.query else base), base, parts.query
