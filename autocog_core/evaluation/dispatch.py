"""Calls of models: token trees in one call, other requests in parallel."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

from autocog_core.errors import (
    CapabilityError,
    ClosedError,
    ConfigError,
    ModelLoadError,
    PluginError,
)
from autocog_core.evaluation.branch import ModelAnswer, ModelRequest
from autocog_core.hooks.client import BackendClient
from autocog_core.types.choice import ChoiceRequest
from autocog_core.types.completion import CompletionRequest
from autocog_core.types.token_tree import TreeQuery

#: Errors that every run would have: they end all runs.
FATAL_ERRORS = (CapabilityError, ClosedError, ConfigError, ModelLoadError, PluginError)

#: The answers to one run's requests, in order, or its first error.
RunAnswers = list[ModelAnswer] | Exception


@dataclass(frozen=True, slots=True)
class ModelCall:
    """Requests of one or more runs to one model.

    :ivar client: the model's client.
    :ivar requests_by_run: the requests of each run. An error of one run does not affect others.
    """

    client: BackendClient
    requests_by_run: Sequence[Sequence[ModelRequest]]


@dataclass(frozen=True, slots=True)
class CallResult:
    """The result of a `ModelCall`.

    :ivar answers_by_run: the answers or the error of each run.
    :ivar seconds: waiting time for this call, without the wait for calls collected before it.
    """

    answers_by_run: list[RunAnswers]
    seconds: float


class Dispatcher:
    """Calls models, each from as many threads as its `max_concurrency` allows.

    It is a context manager, and safe to use from several threads. At its end, it cancels calls
    that have not started, and waits for the others.
    """

    def __init__(self) -> None:
        self._pools: dict[BackendClient, ThreadPoolExecutor] = {}
        self._lock = threading.Lock()
        self._is_closed = False

    def dispatch(self, calls: Sequence[ModelCall]) -> list[CallResult]:
        """Make the calls, and return their results in order.

        :param calls: calls of different models, which run in parallel if they can.
        :raises AutocogError: for an error that every run would have (`FATAL_ERRORS`).
        """
        is_pooled = [self._pool(call.client) is not None for call in calls]
        # Start the calls in thread pools first; the others then run in this thread.
        order = sorted(range(len(calls)), key=lambda index: not is_pooled[index])
        started = {index: self._start(calls[index]) for index in order}
        results: dict[int, CallResult] = {}
        for index in reversed(order):
            start = time.perf_counter()
            answers = started[index]()
            results[index] = CallResult(answers, time.perf_counter() - start)
        return [results[index] for index in range(len(calls))]

    def _start(self, call: ModelCall) -> Callable[[], list[RunAnswers]]:
        """Start a call, and return a function that waits for its answers."""
        pool = self._pool(call.client)
        requests = [request for run in call.requests_by_run for request in run]
        if all(isinstance(request, TreeQuery) for request in requests):
            return self._start_trees(pool, call.client, call.requests_by_run)
        if pool is None:
            return lambda: [_call_in_order(call.client, run) for run in call.requests_by_run]
        running = [_ConcurrentRequests(pool, call.client, run) for run in call.requests_by_run]
        return lambda: [requests.answers() for requests in running]

    def _start_trees(
        self,
        pool: ThreadPoolExecutor | None,
        client: BackendClient,
        requests_by_run: Sequence[Sequence[ModelRequest]],
    ) -> Callable[[], list[RunAnswers]]:
        queries = [
            request for run in requests_by_run for request in run if isinstance(request, TreeQuery)
        ]
        future = None if pool is None else pool.submit(client.greedy_tree, queries)

        def collect() -> list[RunAnswers]:
            try:
                scores = client.greedy_tree(queries) if future is None else future.result()
            except FATAL_ERRORS:
                raise
            except Exception as error:  # noqa: BLE001 - separate calls show which run causes it
                if len(requests_by_run) == 1:
                    return [error]
                separate = (self._start_trees(pool, client, [run]) for run in requests_by_run)
                return [answers for collect_run in separate for answers in collect_run()]
            remaining = iter(scores)
            return [[next(remaining) for _ in run] for run in requests_by_run]

        return collect

    def _pool(self, client: BackendClient) -> ThreadPoolExecutor | None:
        """Return the threads for a model's calls; None if it takes one call at a time."""
        if client.info.max_concurrency <= 1:
            return None
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the dispatcher is closed")
            if client not in self._pools:
                self._pools[client] = ThreadPoolExecutor(
                    client.info.max_concurrency, "autocog-call"
                )
            return self._pools[client]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._is_closed = True
        # Cancel in all pools before waiting for one: the others would start more calls meanwhile.
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        for pool in self._pools.values():
            pool.shutdown()


class _ConcurrentRequests:
    """Parallel requests of one run. After an error, those that have not started are skipped."""

    def __init__(
        self, pool: ThreadPoolExecutor, client: BackendClient, requests: Sequence[ModelRequest]
    ) -> None:
        self._has_failed = False
        self._client = client
        self._futures: list[Future[ModelAnswer | None]] = [
            pool.submit(self._call, request) for request in requests
        ]

    def _call(self, request: ModelRequest) -> ModelAnswer | None:
        if self._has_failed:
            return None
        try:
            return _call(self._client, request)
        except Exception:
            self._has_failed = True
            raise

    def answers(self) -> RunAnswers:
        """Wait for all requests, and return their answers, or the first error."""
        answers: list[ModelAnswer] = []
        first_error: Exception | None = None
        for future in self._futures:
            try:
                answer = future.result()
            except FATAL_ERRORS:
                raise
            except Exception as error:  # noqa: BLE001 - it is the run's result
                first_error = first_error or error
            else:
                answers += [] if answer is None else [answer]
        return first_error or answers


def _call_in_order(client: BackendClient, requests: Sequence[ModelRequest]) -> RunAnswers:
    try:
        return [_call(client, request) for request in requests]
    except FATAL_ERRORS:
        raise
    except Exception as error:  # noqa: BLE001 - it is the run's result
        return error


def _call(client: BackendClient, request: ModelRequest) -> ModelAnswer:
    match request:
        case ChoiceRequest():
            return client.choose(request)
        case CompletionRequest():
            return client.complete(request)
        case TreeQuery():
            return client.greedy_tree([request])[0]
