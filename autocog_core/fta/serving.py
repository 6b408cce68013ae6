"""Sending what paths ask to their models: token trees in one call, requests side by side."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from autocog_core.caller import Caller
from autocog_core.errors import (
    CapabilityError,
    ClosedError,
    ConfigError,
    ModelLoadError,
    PluginError,
)
from autocog_core.fta.branch import Answer, Asked
from autocog_core.types import ChoiceRequest, CompletionRequest, TreeQuery

#: What would meet everybody alike: there is no use in going on.
HOPELESS = (CapabilityError, ClosedError, ConfigError, ModelLoadError, PluginError)

#: What comes of several questions of one path or run: their answers in order, or an error.
Outcome = list[Answer] | Exception


class Serving:
    """Calls models, from as many threads at once as each of them allows; a context manager.

    When it ends, calls that have not begun are dropped, and those that have are waited for. It may
    be used from several threads.
    """

    def __init__(self) -> None:
        self._pools: dict[Caller, ThreadPoolExecutor] = {}
        self._lock = threading.Lock()
        self._ended = False

    def serve(self, caller: Caller, parts: Sequence[Sequence[Asked]]) -> list[Outcome]:
        """What comes of each part: its answers, or the first error among them.

        :param parts: what several runs ask; what one of them meets does not harm another.
        :raises AutocogError: what would meet every part alike.
        """
        trees = all(isinstance(one, TreeQuery) for part in parts for one in part)
        return self._trees(caller, parts) if trees else self._requests(caller, parts)

    def _trees(self, caller: Caller, parts: Sequence[Sequence[Asked]]) -> list[Outcome]:
        queries = [one for part in parts for one in part if isinstance(one, TreeQuery)]
        pool = self._pool(caller)
        try:
            if pool is None:
                answers = iter(caller.greedy_tree(queries))
            else:
                answers = iter(pool.submit(caller.greedy_tree, queries).result())
        except HOPELESS:
            raise
        except Exception as error:  # noqa: BLE001 - whose fault it is shows when each is alone
            if len(parts) == 1:
                return [error]
            return [outcome for part in parts for outcome in self._trees(caller, [part])]
        return [[next(answers) for _ in part] for part in parts]

    def _requests(self, caller: Caller, parts: Sequence[Sequence[Asked]]) -> list[Outcome]:
        pool = self._pool(caller)
        if pool is None:
            return [_in_turn(caller, part) for part in parts]
        working = [_SideBySide(pool, caller, part) for part in parts]
        return [part.outcome() for part in working]

    def _pool(self, caller: Caller) -> ThreadPoolExecutor | None:
        """Threads for the calls of a model; None for one that takes them one after the other."""
        if caller.info.concurrency <= 1:
            return None
        with self._lock:
            if self._ended:
                raise RuntimeError("calls of models have ended")
            if caller not in self._pools:
                self._pools[caller] = ThreadPoolExecutor(caller.info.concurrency, "autocog-call")
            return self._pools[caller]

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


class _SideBySide:
    """A part's requests at work; after an error, those that have not begun are left out."""

    def __init__(self, pool: ThreadPoolExecutor, caller: Caller, part: Sequence[Asked]) -> None:
        self._failed = False
        self._caller = caller
        self._futures: list[Future[Answer | None]] = [
            pool.submit(self._call, asked) for asked in part
        ]

    def _call(self, asked: Asked) -> Answer | None:
        if self._failed:
            return None
        try:
            return _call(self._caller, asked)
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
            except HOPELESS:
                raise
            except Exception as found:  # noqa: BLE001 - handed on
                error = error or found
            else:
                answers += [] if answer is None else [answer]
        return error or answers


def _in_turn(caller: Caller, part: Sequence[Asked]) -> Outcome:
    try:
        return [_call(caller, asked) for asked in part]
    except HOPELESS:
        raise
    except Exception as error:  # noqa: BLE001 - handed on
        return error


def _call(caller: Caller, asked: Asked) -> Answer:
    match asked:
        case ChoiceRequest():
            return caller.choose(asked)
        case CompletionRequest():
            return caller.complete(asked)
        case TreeQuery():
            return caller.greedy_tree([asked])[0]
