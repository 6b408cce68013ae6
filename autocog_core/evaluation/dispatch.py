"""Sending what paths ask to their models: token trees in one call, requests side by side."""

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
from autocog_core.evaluation.branch import Answer, Asked
from autocog_core.hooks.client import BackendClient
from autocog_core.types.choice import ChoiceRequest
from autocog_core.types.completion import CompletionRequest
from autocog_core.types.token_tree import TreeQuery

#: What would meet everybody alike: there is no use in going on.
FATAL_ERRORS = (CapabilityError, ClosedError, ConfigError, ModelLoadError, PluginError)

#: What comes of several questions of one path or run: their answers in order, or an error.
Outcome = list[Answer] | Exception


@dataclass(frozen=True, slots=True)
class Call:
    """What a model is asked.

    :ivar parts: by several runs; what one of them meets does not harm another.
    """

    client: BackendClient
    parts: Sequence[Sequence[Asked]]


@dataclass(frozen=True, slots=True)
class CallResult:
    """What came of a call.

    :ivar outcomes: of each part: its answers, or the first error among them.
    :ivar seconds: how long this was waited for, after whatever was waited for before.
    """

    outcomes: list[Outcome]
    seconds: float


class Dispatcher:
    """Calls models, from as many threads at once as each of them allows; a context manager.

    When it ends, calls that have not begun are dropped, and those that have are waited for. It may
    be used from several threads.
    """

    def __init__(self) -> None:
        self._pools: dict[BackendClient, ThreadPoolExecutor] = {}
        self._lock = threading.Lock()
        self._ended = False

    def serve(self, calls: Sequence[Call]) -> list[CallResult]:
        """What comes of each call; models that take several calls at once work side by side.

        :raises AutocogError: what would meet every part alike.
        """
        pooled = [self._pool(call.client) is not None for call in calls]
        # Those that answer by themselves first; the others keep this thread busy meanwhile.
        order = sorted(range(len(calls)), key=lambda number: not pooled[number])
        begun = {number: self._begin(calls[number]) for number in order}
        found: dict[int, CallResult] = {}
        for number in reversed(order):
            since = time.perf_counter()
            outcomes = begun[number]()
            found[number] = CallResult(outcomes, time.perf_counter() - since)
        return [found[number] for number in range(len(calls))]

    def _begin(self, call: Call) -> Callable[[], list[Outcome]]:
        """Sends what can be sent; what is returned waits for it."""
        pool = self._pool(call.client)
        if all(isinstance(one, TreeQuery) for part in call.parts for one in part):
            return self._trees(pool, call.client, call.parts)
        if pool is None:
            return lambda: [_in_turn(call.client, part) for part in call.parts]
        working = [_ConcurrentRequests(pool, call.client, part) for part in call.parts]
        return lambda: [part.outcome() for part in working]

    def _trees(
        self,
        pool: ThreadPoolExecutor | None,
        client: BackendClient,
        parts: Sequence[Sequence[Asked]],
    ) -> Callable[[], list[Outcome]]:
        queries = [one for part in parts for one in part if isinstance(one, TreeQuery)]
        future = None if pool is None else pool.submit(client.greedy_tree, queries)

        def outcomes() -> list[Outcome]:
            try:
                found = client.greedy_tree(queries) if future is None else future.result()
            except FATAL_ERRORS:
                raise
            except Exception as error:  # noqa: BLE001 - whose fault it is shows when each is alone
                if len(parts) == 1:
                    return [error]
                return [one for part in parts for one in self._trees(pool, client, [part])()]
            answers = iter(found)
            return [[next(answers) for _ in part] for part in parts]

        return outcomes

    def _pool(self, client: BackendClient) -> ThreadPoolExecutor | None:
        """Threads for the calls of a model; None for one that takes them one after the other."""
        if client.info.max_concurrency <= 1:
            return None
        with self._lock:
            if self._ended:
                raise RuntimeError("calls of models have ended")
            if client not in self._pools:
                self._pools[client] = ThreadPoolExecutor(
                    client.info.max_concurrency, "autocog-call"
                )
            return self._pools[client]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._ended = True
        # All of them first: waiting for one, others would begin what nobody wants any more.
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        for pool in self._pools.values():
            pool.shutdown()


class _ConcurrentRequests:
    """A part's requests at work; after an error, those that have not begun are left out."""

    def __init__(
        self, pool: ThreadPoolExecutor, client: BackendClient, part: Sequence[Asked]
    ) -> None:
        self._failed = False
        self._client = client
        self._futures: list[Future[Answer | None]] = [
            pool.submit(self._call, asked) for asked in part
        ]

    def _call(self, asked: Asked) -> Answer | None:
        if self._failed:
            return None
        try:
            return _call(self._client, asked)
        except Exception:
            self._failed = True
            raise

    def outcome(self) -> Outcome:
        """Its answers, or the first error among them, once none of its requests is at work."""
        answers: list[Answer] = []
        error: Exception | None = None
        for future in self._futures:
            try:
                answer = future.result()
            except FATAL_ERRORS:
                raise
            except Exception as found:  # noqa: BLE001 - handed on
                error = error or found
            else:
                answers += [] if answer is None else [answer]
        return error or answers


def _in_turn(client: BackendClient, part: Sequence[Asked]) -> Outcome:
    try:
        return [_call(client, asked) for asked in part]
    except FATAL_ERRORS:
        raise
    except Exception as error:  # noqa: BLE001 - handed on
        return error


def _call(client: BackendClient, asked: Asked) -> Answer:
    match asked:
        case ChoiceRequest():
            return client.choose(asked)
        case CompletionRequest():
            return client.complete(asked)
        case TreeQuery():
            return client.greedy_tree([asked])[0]
