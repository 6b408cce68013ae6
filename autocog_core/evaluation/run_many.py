"""Several runs at once: what their paths ask of a model goes to it together.

Engines that take one call at a time get the token trees of all runs in common calls, step by step.
Where every model takes several calls at once, each run goes on by itself as soon as it has its
answers, and a slow one holds up no other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import Any

from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.errors import AutocogError, EngineError, InputError
from autocog_core.evaluation.branch import Asked
from autocog_core.evaluation.dispatch import FATAL_ERRORS, Call, Dispatcher, Outcome
from autocog_core.evaluation.evaluation import Evaluation, Strategy, check_models
from autocog_core.evaluation.run import prepare, run_in_engine, run_to_end
from autocog_core.hooks.automaton_run import Budget
from autocog_core.hooks.client import BackendClient
from autocog_core.types.thought_tree import ThoughtTree

Result = ThoughtTree | AutocogError
#: Makes a run; what it raises is of its row.
Prepared = Callable[[], Evaluation]


def run_many(
    automaton: AutomatonGraph,
    clients: Mapping[str | None, BackendClient],
    rows: Iterable[Mapping[str, Any]],
    *,
    digest: str,
    budget: Budget | None = None,
    strategy: Strategy | None = None,
    concurrency: int = 1,
) -> Iterator[Result]:
    """Run an automaton on many rows of inputs; one result a row, in their order.

    :param concurrency: how many rows are at work at once.
    :returns: for each row its tree, or the error that it met.
    :raises InputError: for an automaton with faults, which no row could mend.
    :raises AutocogError: what would meet every row: a closed model, a missing capability.
    """
    if concurrency < 1:
        raise InputError(f"{concurrency} is no number of rows", where="concurrency")
    check_models(automaton, clients)
    run = partial(prepare, clients=clients, digest=digest, budget=budget, strategy=strategy)
    prepared = (partial(run, automaton, values) for values in rows)
    used = {action.model for action in automaton.actions} | {None}
    several = all(clients[name].info.max_concurrency > 1 for name in used)
    yield from (_each if several and concurrency > 1 else _in_step)(prepared, concurrency)


def _each(prepared: Iterator[Prepared], concurrency: int) -> Iterator[Result]:
    """Each row in a thread of its own."""
    working: deque[Future[Result]] = deque()
    # Calls end before the rows are waited for: those would go on to their last step.
    with ThreadPoolExecutor(concurrency, "autocog-row") as threads, Dispatcher() as serving:
        while True:
            # A row that has ended waits for those before it; no more are taken than can be at work.
            for one in islice(prepared, concurrency - len(working)):
                working.append(threads.submit(_run, one, serving))
            if not working:
                return
            yield working.popleft().result()


def _run(prepared: Prepared, serving: Dispatcher) -> Result:
    try:
        return run_to_end(prepared(), serving)
    except FATAL_ERRORS:
        raise
    except Exception as error:  # noqa: BLE001 - a bad row is no end of the others
        return _as_result(error)


def _in_step(prepared: Iterator[Prepared], concurrency: int) -> Iterator[Result]:
    """All rows together, one step after the other."""
    working: deque[_Row] = deque()
    with Dispatcher() as serving:
        while True:
            fresh = [_Row(one) for one in islice(prepared, concurrency - len(working))]
            _take_over(fresh)
            working += fresh
            if not working:
                return
            _advance([row for row in working if row.result is None], serving)
            while working and (result := working[0].result) is not None:
                working.popleft()
                yield result


class _Row:
    """One row at work. Whatever it raises is its result, and no end of the others.

    :ivar result: once it has ended. `asked`: what it needs next of each model.
    """

    def __init__(self, prepared: Prepared) -> None:
        self.result: Result | None = None
        self.asked: Mapping[str | None, list[Asked]] = {}
        self.clients: Mapping[str | None, BackendClient] = {}
        try:
            self._evaluation = prepared()
            self.clients = self._evaluation.clients
        except Exception as error:  # noqa: BLE001 - a bad row is no end of the run
            self._fail(error)

    @property
    def evaluation(self) -> Evaluation | None:
        """Its run, if it could be made and goes on."""
        return self._evaluation if self.result is None else None

    def ask(self) -> bool:
        """Whether it goes on, and so needs something of a model."""
        try:
            self.asked = self._evaluation.ask()
            if not self.asked:
                self.result = self._evaluation.tree()
        except Exception as error:  # noqa: BLE001
            self._fail(error)
        return self.result is None

    def take(self, name: str | None, found: Outcome, seconds: float) -> None:
        """What a model has answered, or why it has not."""
        try:
            if isinstance(found, Exception):
                raise found
            self._evaluation.take(name, found, seconds)
        except Exception as error:  # noqa: BLE001
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if isinstance(error, FATAL_ERRORS):
            raise error
        self.result = _as_result(error)


def _take_over(rows: Sequence[_Row]) -> None:
    """Let the engine run those that it can as a whole."""
    going = [(row, row.evaluation) for row in rows if row.evaluation is not None]
    if going and (found := run_in_engine([evaluation for _, evaluation in going])):
        for (row, _), result in zip(going, found, strict=True):
            row.result = result


def _advance(rows: Sequence[_Row], serving: Dispatcher) -> None:
    """One step of all rows: what they ask goes to each model together."""
    by_model: dict[BackendClient, list[tuple[_Row, str | None]]] = {}
    for row in rows:
        if row.ask():
            for name in row.asked:
                by_model.setdefault(row.clients[name], []).append((row, name))
    calls = [
        Call(client, [row.asked[name] for row, name in asking])
        for client, asking in by_model.items()
    ]
    for asking, served in zip(by_model.values(), serving.serve(calls), strict=True):
        seconds = served.seconds / len(asking)
        for (row, name), outcome in zip(asking, served.outcomes, strict=True):
            # Another model's error may have ended it.
            if row.result is None:
                row.take(name, outcome, seconds)


def _as_result(error: Exception) -> AutocogError:
    """A row's error; one that is not ours, in words."""
    if isinstance(error, AutocogError):
        return error
    found = EngineError(f"{type(error).__name__}: {error}")
    found.__cause__ = error
    return found
