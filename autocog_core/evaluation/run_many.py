"""Runs of one automaton on many rows of inputs.

If every model takes several calls at once, each row runs in a thread, and a slow row delays no
other. Otherwise all rows advance in lockstep, with their token trees in common calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import Any

from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.automaton.winners import ChoiceProbs, require_winners
from autocog_core.errors import AutocogError, EngineError
from autocog_core.evaluation.branch import ModelRequest
from autocog_core.evaluation.concurrency import Concurrency, rows_at_once
from autocog_core.evaluation.dispatch import FATAL_ERRORS, Dispatcher, ModelCall, RunAnswers
from autocog_core.evaluation.evaluation import Evaluation, Strategy, check_models
from autocog_core.evaluation.run import prepare_evaluation, run_in_engine, run_to_end
from autocog_core.hooks.automaton_run import Budget
from autocog_core.hooks.client import BackendClient
from autocog_core.types.thought_tree import ThoughtTree

RowResult = ThoughtTree | AutocogError
#: Prepares the run of a row; an error is the row's result.
PrepareRow = Callable[[], Evaluation]


def run_many(
    automaton: AutomatonGraph,
    clients: Mapping[str | None, BackendClient],
    rows: Iterable[Mapping[str, Any]],
    *,
    digest: str,
    budget: Budget | None = None,
    strategy: Strategy | None = None,
    concurrency: Concurrency = 1,
    keep_scores: bool = False,
    probs: ChoiceProbs = "all",
) -> Iterator[RowResult]:
    """Run an automaton on many rows of inputs, and yield the result of each row, in order.

    :param automaton: an automaton without errors.
    :param clients: the clients of the models by name; None names the main model.
    :param rows: the values of the automaton's inputs, for each row.
    :param digest: the program's hash, for the trees' provenance.
    :param budget: the limits of each row's run.
    :param strategy: the strategy for all models; None for the best that each one supports.
    :param concurrency: maximum number of rows that run at the same time (`rows_at_once`).
    :param keep_scores: whether the trees have the scores of all choices.
    :param probs: "winner" reads only what proves the best choice of each action.
    :returns: the tree or the error of each row.
    :raises InputError: for a missing model, or a concurrency below 1.
    :raises AutocogError: for an error that every row would have, such as a closed model.
    """
    check_models(automaton, clients)
    number = rows_at_once(concurrency, [client.info for client in clients.values()])
    require_winners(automaton, probs)
    prepare = partial(
        prepare_evaluation,
        clients=clients,
        digest=digest,
        budget=budget,
        strategy=strategy,
        keep_scores=keep_scores,
        probs=probs,
    )
    prepared_rows = (partial(prepare, automaton, values) for values in rows)
    names = {action.model for action in automaton.all_actions} | {None}
    all_concurrent = all(clients[name].info.max_concurrency > 1 for name in names)
    use_threads = all_concurrent and number > 1
    yield from (_run_in_threads if use_threads else _run_in_lockstep)(prepared_rows, number)


def _run_in_threads(rows: Iterator[PrepareRow], concurrency: int) -> Iterator[RowResult]:
    """Run each row in a thread."""
    running: deque[Future[RowResult]] = deque()
    # The dispatcher ends first: its cancelled calls end the rows, which would otherwise continue.
    with ThreadPoolExecutor(concurrency, "autocog-row") as threads, Dispatcher() as dispatcher:
        while True:
            # A finished row waits for the rows before it, and counts as running meanwhile.
            for row in islice(rows, concurrency - len(running)):
                running.append(threads.submit(_run_row, row, dispatcher))
            if not running:
                return
            yield running.popleft().result()


def _run_row(prepare: PrepareRow, dispatcher: Dispatcher) -> RowResult:
    try:
        return run_to_end(prepare(), dispatcher)
    except FATAL_ERRORS:
        raise
    except Exception as error:  # noqa: BLE001 - it is the row's result
        return _as_autocog_error(error)


def _run_in_lockstep(rows: Iterator[PrepareRow], concurrency: int) -> Iterator[RowResult]:
    """Run all rows together, one step at a time."""
    running: deque[_RowRun] = deque()
    with Dispatcher() as dispatcher:
        while True:
            new_runs = [_RowRun(row) for row in islice(rows, concurrency - len(running))]
            _run_rows_in_engine(new_runs)
            running += new_runs
            if not running:
                return
            _step_all([row for row in running if row.result is None], dispatcher)
            while running and (result := running[0].result) is not None:
                running.popleft()
                yield result


class _RowRun:
    """The run of one row. An error becomes its result, and does not end other rows.

    :ivar result: the tree or the error; None while the row runs.
    :ivar requests: its next requests to each model.
    :ivar clients: the clients of its models.
    """

    def __init__(self, prepare: PrepareRow) -> None:
        self.result: RowResult | None = None
        self.requests: Mapping[str | None, list[ModelRequest]] = {}
        self.clients: Mapping[str | None, BackendClient] = {}
        try:
            self._evaluation = prepare()
            self.clients = self._evaluation.clients
        except Exception as error:  # noqa: BLE001 - it is the row's result
            self._fail(error)

    @property
    def evaluation(self) -> Evaluation | None:
        """Its evaluation; None if the row has a result."""
        return self._evaluation if self.result is None else None

    def advance(self) -> bool:
        """Update `requests`, or the result at the end; return whether the row still runs."""
        try:
            self.requests = self._evaluation.next_requests()
            if not self.requests:
                self.result = self._evaluation.build_tree()
        except Exception as error:  # noqa: BLE001 - it is the row's result
            self._fail(error)
        return self.result is None

    def receive(self, name: str | None, answers: RunAnswers, seconds: float) -> None:
        """Continue with the answers of a model, or end with its error."""
        try:
            if isinstance(answers, Exception):
                raise answers
            self._evaluation.receive(name, answers, seconds)
        except Exception as error:  # noqa: BLE001 - it is the row's result
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if isinstance(error, FATAL_ERRORS):
            raise error
        self.result = _as_autocog_error(error)


def _run_rows_in_engine(rows: Sequence[_RowRun]) -> None:
    """Let the engine run whole rows, if it can."""
    running = [(row, row.evaluation) for row in rows if row.evaluation is not None]
    if running and (results := run_in_engine([evaluation for _, evaluation in running])):
        for (row, _), result in zip(running, results, strict=True):
            row.result = result


def _step_all(rows: Sequence[_RowRun], dispatcher: Dispatcher) -> None:
    """Advance all rows by one step, with one call of each model."""
    rows_by_client: dict[BackendClient, list[tuple[_RowRun, str | None]]] = {}
    for row in rows:
        if row.advance():
            for name in row.requests:
                rows_by_client.setdefault(row.clients[name], []).append((row, name))
    calls = [
        ModelCall(client, [row.requests[name] for row, name in callers])
        for client, callers in rows_by_client.items()
    ]
    for callers, result in zip(rows_by_client.values(), dispatcher.dispatch(calls), strict=True):
        seconds = result.seconds / len(callers)
        for (row, name), answers in zip(callers, result.answers_by_run, strict=True):
            # The error of another model may have ended the row.
            if row.result is None:
                row.receive(name, answers, seconds)


def _as_autocog_error(error: Exception) -> AutocogError:
    """Return the error, or an EngineError that names it."""
    if isinstance(error, AutocogError):
        return error
    engine_error = EngineError(f"{type(error).__name__}: {error}")
    engine_error.__cause__ = error
    return engine_error
