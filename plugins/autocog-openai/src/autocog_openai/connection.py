"""One server: requests over one pool of connections, through the SDK, counted and bounded."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2
import openai
from pydantic_core import from_json

from autocog_core import Usage
from autocog_core.errors import ClosedError, ConfigError, EngineError
from autocog_core.secrets import conceal, from_environment, redact
from autocog_openai.failures import MalformedAnswerError, translated
from autocog_openai.options import OpenAIOptions

KEY = "env:OPENAI_API_KEY"
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
            conceal(secret or "")
        #: Native routes lie beside /v1.
        self.root = self.base_url.removesuffix("/v1")
        self.where = f"{options.model} at {parts.netloc.rpartition('@')[2]}"
        self.closed = False
        self._slots = threading.BoundedSemaphore(options.max_concurrency)
        self._beside = threading.BoundedSemaphore(options.max_concurrency)
        self._streaming = threading.local()
        self._workers = ThreadPoolExecutor(options.max_concurrency, "autocog-openai")
        self._counting = threading.Lock()
        self._usage = Usage()

    @property
    def usage(self) -> Usage:
        """What was asked so far."""
        with self._counting:
            return self._usage

    def get(self, route: str) -> Any:
        """The JSON behind a route, "/..." beside /v1, or "v1/..." under the base."""
        return self._json(lambda: self._client.get(self._url(route), cast_to=httpx2.Response))

    def post(self, route: str, body: Body, *, retries: int | None = None) -> Any:
        """The JSON that answers a request.

        :raises AutocogError: of the kind that fits; see `failures`.
        """
        client = self._client if retries is None else self._client.with_options(max_retries=retries)
        found = self._json(
            lambda: client.post(self._url(route), cast_to=httpx2.Response, body=dict(body))
        )
        self._count(found)
        return found

    @contextmanager
    def stream(self, route: str, body: Body) -> Iterator[Iterator[Any]]:
        """The events that answer a request; leaving early cuts the connection."""
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
                with events:
                    yield self._watched(events)
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
                raise

    def _is_closed(self) -> ClosedError:
        return ClosedError("the model is closed", where=self.where, hint="load it again")

    def _json(self, send: Callable[[], httpx2.Response]) -> Any:
        with self._turn(), translated(self.where):
            content = send().content
        try:
            return from_json(content)
        except ValueError as error:
            shown = redact(content.decode("utf-8", errors="replace"))[:80]
            raise MalformedAnswerError(
                f"the server answered with no JSON ({error}): {shown!r}",
                where=self.where,
                hint="is it the right server, and not a proxy's error page?",
                retryable=True,
            ) from error

    def _watched(self, events: Iterator[Any]) -> Iterator[Any]:
        for event in events:
            self._count(event)
            yield event

    def _count(self, answer: Any) -> None:
        one = usage_of(answer)
        if one is not None:
            with self._counting:
                self._usage += one


def usage_of(answer: Any) -> Usage | None:
    """What an answer says it has cost; None for one that says nothing (a route for tokens)."""
    if isinstance(answer, list):
        found = [one for one in map(usage_of, answer) if one is not None]
        return sum(found[1:], found[0]) if found else None
    if not isinstance(answer, dict):
        return None
    if isinstance(answer.get("response"), dict):
        # Events of the responses route hold the whole answer, at their end.
        answer = answer["response"]
    meta = answer.get("meta_info")
    if isinstance(meta, dict) and "prompt_tokens" in meta:
        cached = int(meta.get("cached_tokens") or 0)
        return Usage(1, int(meta["prompt_tokens"]), cached, int(meta.get("completion_tokens") or 0))
    timings = answer.get("timings")
    if isinstance(timings, dict) and "tokens_evaluated" in answer:
        cached, read = int(timings.get("cache_n") or 0), int(timings.get("prompt_n") or 0)
        return Usage(1, cached + read, cached, int(timings.get("predicted_n") or 0))
    usage = answer.get("usage")
    if not isinstance(usage, dict):
        return None
    details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
    return Usage(
        1,
        int(usage.get("prompt_tokens") or usage.get("input_tokens") or 0),
        int(details.get("cached_tokens") or 0),
        int(usage.get("completion_tokens") or usage.get("output_tokens") or 0),
    )


def _key(options: OpenAIOptions) -> str:
    given = options.api_key
    if given is not None and not given.startswith("env:"):
        conceal(given)
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
        limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
        super().__init__(verify=_certificates(), limits=limits)
        self._seconds = seconds

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        deadline = time.monotonic() + self._seconds
        response = super().handle_request(request)
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            assert isinstance(response.stream, httpx2.SyncByteStream)
            response.stream = _Deadline(response.stream, deadline, request)
        return response


class _Deadline(httpx2.SyncByteStream):
    def __init__(
        self, stream: httpx2.SyncByteStream, deadline: float, request: httpx2.Request
    ) -> None:
        self._stream, self._deadline, self._request = stream, deadline, request

    def __iter__(self) -> Iterator[bytes]:
        for part in self._stream:
            if time.monotonic() > self._deadline:
                raise httpx2.ReadTimeout("the answer takes too long", request=self._request)
            yield part

    def close(self) -> None:
        self._stream.close()
