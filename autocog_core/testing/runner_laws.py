"""The laws of runners, as tests: rows in order, none lost, none twice, whatever a worker does."""

from __future__ import annotations

import os
import platform
import signal
import threading
import time
import unittest
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import count, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from autocog_core.dataset.input_rows import Row
from autocog_core.dataset.output_row import OutputRow
from autocog_core.dataset.run import Run
from autocog_core.errors import AutocogError, ContractError, InputError
from autocog_core.model.automaton import Automaton
from autocog_core.model.load import load
from autocog_core.runners.batches import make_batches
from autocog_core.runners.job import Batch
from autocog_core.runners.model_references import ModelReferences
from autocog_core.runners.runner import MAX_BATCHES_AHEAD, Runner
from autocog_core.runners.runner_run import RunnerRun
from autocog_core.runners.worker import WorkedBatch
from autocog_core.testing.law_errors import LawViolation

_PROGRAM: dict[str, Any] = {
    "inputs": {"text": "text"},
    "actions": [
        {"text": "{{ text }}:"},
        {"name": "answer", "choices": ["a", "b"], "width": None},
    ],
}
_OPTIONS = {"seed": 5}
#: More batches than workers may have at once.
_ROWS = 100
#: Seconds that a worker has to be gone after `stop`.
_SECONDS_TO_STOP = 30.0


class RunnerContractTests:
    """The laws of runners, as tests.

    For pytest::

        class TestMine(RunnerContractTests):
            def make_runner(self) -> MyRunner:
                return MyRunner(workers=2)

    Some tests of a class share one runner, as it may take long to start.
    """

    _shared: ClassVar[RunnerRun | None] = None
    _folder: ClassVar[TemporaryDirectory[str] | None] = None

    def make_runner(self) -> Runner:
        """Return the runner, not started; a new one on every call."""
        raise unittest.SkipTest("define `make_runner` to return your runner")

    @classmethod
    def teardown_class(cls) -> None:
        """Stop the shared runner."""
        run, folder, cls._shared, cls._folder = cls._shared, cls._folder, None, None
        if run is not None:
            run.__exit__()
        if folder is not None:
            folder.cleanup()

    def test_each_row_has_the_result_of_a_local_run(self) -> None:
        """Each row has one result, in order, the same as in one process: also a row with an error.

        The trees are the same, too. The runner can run several times.
        """
        __tracebackhide__ = True
        rows = list(_rows(_ROWS))
        run = self._start_shared()
        with TemporaryDirectory() as folder:
            with load(backend="random", options=_OPTIONS) as model:
                local = Run(Automaton.from_dict(_PROGRAM), model, tree_dir=Path(folder))
                expected = list(local.output_rows(rows))
            _require_equal(expected, _collect(run, rows))
            assert run.tree_dir is not None
            for path in Path(folder).iterdir():
                _require_same_tree(path, run.tree_dir / path.name)
        _require_equal(expected[:3], _collect(run, rows[:3]))
        _require_equal([], _collect(run, []))

    def test_few_rows_are_under_way(self) -> None:
        """Of rows without an end, few are taken before the first result, and the run can stop."""
        __tracebackhide__ = True
        taken = 0

        def batches() -> Iterator[Batch]:
            nonlocal taken
            for batch in make_batches(_rows(), 1):
                taken += 1
                yield batch

        run = self._start_shared()
        limit = MAX_BATCHES_AHEAD * run.runner.workers
        with closing(_results(run, batches())) as results:
            for done in range(1, 4):
                next(results)
                if taken > limit + done:
                    raise _violation(
                        "too many batches are taken before the first result",
                        expected=f"at most {limit} batches ahead",
                        got=f"{taken} batches taken for {done} results",
                        cause="the runner reads all rows first, or has no limit",
                    )

    def test_a_worker_that_dies_costs_no_row(self) -> None:
        """Each row has one result, in order, although workers are killed."""
        __tracebackhide__ = True
        rows = list(_rows(_ROWS))
        killed = 0
        found: list[int] = []
        with closing(_results(self._start_shared(), make_batches(rows, 1))) as results:
            for worked in results:
                found += [entry.output_row["row"] for entry in worked.rows]
                if worked.report.computer != platform.node():
                    raise unittest.SkipTest("the workers are on another computer")
                if worked.report.process == os.getpid():
                    raise unittest.SkipTest("the workers are in this process")
                if killed < 2 and _kill(worked.report.process):
                    killed += 1
        _require_equal([row.index for row in rows], found)

    def test_an_error_of_all_rows_ends_the_run(self) -> None:
        """An error that every row would have is raised once, and the runner can be stopped."""
        __tracebackhide__ = True
        actions = [{**action} for action in _PROGRAM["actions"]]
        actions[1]["model"] = "missing"
        with self._start(program={**_PROGRAM, "actions": actions}) as run:
            error = _error_of(lambda: list(run.output_rows(_rows(_ROWS))))
        if not isinstance(error, InputError) or isinstance(error, ContractError):
            raise _violation(
                "the error of a batch is not raised",
                expected="an InputError about the missing model",
                got=error,
                cause="the runner raises an error of its own, or drops the batch",
            )

    def test_a_model_that_does_not_load_is_one_error(self) -> None:
        """If the model cannot be loaded, `start` raises the error of loading it."""
        __tracebackhide__ = True
        before = _threads()
        runner = self.make_runner()
        models = ModelReferences.of_backend("random", {"vocabulary": "none such"})

        def start() -> None:
            with RunnerRun(Automaton.from_dict(_PROGRAM), models, runner):
                pass

        error = _error_of(start)
        if not isinstance(error, AutocogError) or "vocabulary" not in str(error):
            raise _violation(
                "the error of loading the model is lost",
                expected='a ConfigError about "vocabulary"',
                got=error,
                cause="raise the error that `Worker.start` raises, not one about the worker",
            )
        runner.stop()
        _require_threads(before)

    def test_a_cancelled_run_leaves_nothing_behind(self) -> None:
        """After an interrupt within a run, the workers' processes and threads end."""
        __tracebackhide__ = True
        before = _threads()
        processes: set[int] = set()
        run = self._start()
        error = None
        try:
            with run:
                for worked in islice(_results(run, make_batches(_rows(), 1)), 4):
                    processes.add(worked.report.process)
                raise KeyboardInterrupt
        except KeyboardInterrupt as interrupt:
            error = interrupt
        assert error is not None
        run.runner.stop()
        deadline = time.monotonic() + _SECONDS_TO_STOP
        left = {process for process in processes if process != os.getpid()}
        while left and time.monotonic() < deadline:
            left = {process for process in left if _is_alive(process)}
            time.sleep(0.05)
        if left:
            raise _violation("processes are left after `stop`", got=sorted(left))
        _require_threads(before)

    def _start_shared(self) -> RunnerRun:
        # pytest makes one instance per test, so the class holds the runner.
        cls = type(self)
        if cls._shared is None:
            cls._folder = TemporaryDirectory()
            cls._shared = self._start(tree_dir=Path(cls._folder.name)).__enter__()
        return cls._shared

    def _start(self, program: dict[str, Any] | None = None, **settings: Any) -> RunnerRun:
        models = ModelReferences.of_backend("random", _OPTIONS)
        automaton = Automaton.from_dict(program or _PROGRAM)
        return RunnerRun(automaton, models, self.make_runner(), **settings)


def _rows(number: int | None = None) -> Iterator[Row]:
    """Yield rows; every seventh cannot be read, and another has no value for the input."""
    for index in count() if number is None else range(number):
        if index % 7 == 3:
            yield Row(index, error=InputError("is no row", where=f"line {index + 1}"))
        else:
            yield Row(index, {"other": 1} if index % 7 == 5 else {"text": f"No {index}"})


def _results(run: RunnerRun, batches: Iterator[Batch]) -> Generator[WorkedBatch, None, None]:
    yield from run.runner.run(batches)


def _collect(run: RunnerRun, rows: list[Row]) -> list[OutputRow]:
    try:
        return list(run.output_rows(rows))
    except ContractError as error:
        raise _violation(
            "rows are lost, repeated or in another order",
            got=str(error),
            cause="yield the result of each batch once, in the order of the batches",
        ) from None


def _require_equal(expected: list[Any], found: list[Any]) -> None:
    for before, after in zip(expected, found, strict=False):
        if before != after:
            raise _violation("a row has another result", expected=before, got=after)
    if len(expected) != len(found):
        raise _violation(
            "rows are lost or repeated", expected=f"{len(expected)} rows", got=f"{len(found)} rows"
        )


def _require_same_tree(expected: Path, found: Path) -> None:
    import json

    trees = []
    for path in (expected, found):
        tree = json.loads(path.read_text()) if path.exists() else {}
        # Times differ.
        tree.pop("stats", None)
        trees.append(tree)
    if trees[0] != trees[1]:
        raise _violation("a row has another tree", given=expected.name)


def _error_of(call: Any) -> Exception | None:
    try:
        call()
    except Exception as error:  # noqa: BLE001 - any error is looked at
        return error
    return None


def _violation(problem: str, **more: Any) -> LawViolation:
    violation = LawViolation(problem, **more)
    violation.law = "runner"
    return violation


def _kill(process: int) -> bool:
    try:
        os.kill(process, getattr(signal, "SIGKILL", signal.SIGTERM))
    except ProcessLookupError:
        return False
    return True


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _threads() -> set[threading.Thread]:
    return set(threading.enumerate())


def _require_threads(before: set[threading.Thread]) -> None:
    """Check that the threads of workers have ended; libraries may keep daemons."""
    deadline = time.monotonic() + _SECONDS_TO_STOP
    while new := {thread for thread in _threads() - before if not thread.daemon}:
        if time.monotonic() > deadline:
            raise _violation("threads are left after `stop`", got=sorted(map(str, new)))
        time.sleep(0.02)
