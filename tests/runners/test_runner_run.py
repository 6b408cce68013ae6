"""What core adds to a runner: checks of workers, usage, warnings, secrets, resumed runs."""

from __future__ import annotations

import logging
import os
import pickle
import signal
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autocog_core import Automaton, ConfigError, EngineError, load
from autocog_core.advice.issue import AutocogWarning
from autocog_core.dataset import Row, Run, run_file
from autocog_core.runners import (
    Batch,
    BatchQueue,
    LocalRunner,
    Message,
    ModelReferences,
    RunnerRun,
    ShardsRunner,
    WorkedBatch,
    make_batches,
)
from autocog_core.runners.messages import collect_messages
from tests.runners.thread_runner import ThreadRunner

PROGRAM = Automaton.from_dict(
    {
        "inputs": {"text": "text"},
        "actions": [{"text": "{{ text }}:"}, {"name": "answer", "choices": ["a", "b"]}],
    }
)
MODELS = ModelReferences.of_backend("random", {"seed": 5})
ROWS = [Row(index, {"text": f"No {index}"}) for index in range(40)]


class Changed(LocalRunner):
    """Yields results whose reports, from the second batch on, are changed."""

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        self.changes = changes

    def run(self, batches: Iterable[Batch]) -> Iterator[WorkedBatch]:
        for number, worked in enumerate(super().run(batches)):
            report = replace(worked.report, computer="other", process=7)
            changes = self.changes if number else {}
            yield replace(worked, report=replace(report, **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, ""),
        ({"versions": {"autocog-core": "0.0.9"}}, r"autocog-core: a worker \(other, process 7\)"),
        ({"models": {None: {"name": "x", "fingerprint": "y"}}}, "the main model: another model"),
    ],
)
def test_a_worker_that_differs_is_refused(changes: dict[str, Any], message: str) -> None:
    with RunnerRun(PROGRAM, MODELS, Changed(**changes)) as run:
        results = run.output_rows(ROWS)
        assert [next(results)["row"] for _ in range(8)] == list(range(8))
        if not message:
            assert len(list(results)) == 32
            return
        with pytest.raises(ConfigError, match=message):
            next(results)


def test_a_worker_with_another_version_of_core_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("autocog_core.runners.runner_run.__version__", "9.9")
    with pytest.raises(ConfigError, match=r"others have 9\.9; install the same versions"):
        RunnerRun(PROGRAM, MODELS, LocalRunner()).__enter__()


def test_secrets_do_not_travel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOCOG_TEST_SEED", "4711")
    models = ModelReferences.of_backend("random", {"seed": "env:AUTOCOG_TEST_SEED"})
    with RunnerRun(PROGRAM, models, LocalRunner()) as run:
        job = pickle.dumps(run._job())
        assert b"4711" not in job
        assert b"env:AUTOCOG_TEST_SEED" in job
        (row,) = run.output_rows(ROWS[:1])
    with load(backend="random", options={"seed": 4711}) as model:
        assert list(Run(PROGRAM, model).output_rows(ROWS[:1])) == [row]


def test_messages_of_workers_are_shown_once(caplog: pytest.LogCaptureFixture) -> None:
    messages = [Message("odd-code: a warning", code="odd-code"), Message("slow", level=30)]

    class Speaks(LocalRunner):
        def run(self, batches: Iterable[Batch]) -> Iterator[WorkedBatch]:
            for worked in super().run(batches):
                yield worked.with_messages(messages)

    with RunnerRun(PROGRAM, MODELS, Speaks()) as run, pytest.warns(AutocogWarning) as caught:
        list(run.output_rows(ROWS))
    assert [str(entry.message) for entry in caught] == ["odd-code: a warning"]
    assert [record.message for record in caplog.records].count("slow") == 1


def test_messages_are_collected() -> None:
    import warnings

    with collect_messages() as collector:
        logging.getLogger("autocog_core.somewhere").warning("a %s", "line")
        warnings.warn(AutocogWarning("what", code="c"), stacklevel=1)
        assert collector.take() == (Message("a line"), Message("c: what", code="c"))
        assert collector.take() == ()


def test_results_come_in_order_whoever_takes_the_batches() -> None:
    queue = BatchQueue(make_batches(ROWS, 1), ahead=3)
    taken = [queue.take() for _ in range(3)]
    assert [entry[0] for entry in taken if entry is not None] == [0, 1, 2]
    assert queue.take() is None
    with RunnerRun(PROGRAM, MODELS, LocalRunner()) as run:
        batch = next(iter(run.runner.run(make_batches(ROWS[:1], 1))))
    queue.put(2, batch)
    queue.put(0, None)
    assert queue.next_result() is None
    assert queue.take() == taken[0]
    queue.put(0, batch)
    assert queue.next_result() is batch
    assert not queue.is_finished


def test_a_queue_knows_whether_a_batch_waits_and_takes_no_more_for_it() -> None:
    read: list[int] = []

    def rows() -> Iterator[Row]:
        for row in ROWS[:24]:
            read.append(row.index)
            yield row

    queue = BatchQueue(make_batches(rows(), 1), ahead=2)
    assert queue.has_waiting
    assert queue.has_waiting
    assert len(read) == 8
    assert queue.take() is not None
    assert queue.take() is not None
    # Enough are under way; whether there is another one is not known.
    assert not queue.has_waiting
    assert not queue.is_exhausted
    assert len(read) == 16
    queue.put(0, None)
    assert queue.has_waiting
    with RunnerRun(PROGRAM, MODELS, LocalRunner()) as run:
        batch = next(iter(run.runner.run(make_batches(ROWS[:1], 1))))
    assert queue.take() is not None
    queue.put(0, batch)
    assert queue.next_result() is batch
    assert queue.take() is not None
    queue.put(1, batch)
    assert queue.next_result() is batch
    assert not queue.has_waiting
    assert queue.is_exhausted
    assert not queue.is_finished
    queue.put(2, batch)
    assert queue.next_result() is batch
    assert queue.is_finished


def test_a_file_is_the_same_from_any_runner(tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(f'{{"text": "No {row.index}"}}\n' for row in ROWS))
    with load(backend="random", options={"seed": 5}) as model:
        expected = run_file(Run(PROGRAM, model), source, tmp_path / "local.jsonl")
    with RunnerRun(PROGRAM, MODELS, ThreadRunner()) as run:
        assert run_file(run, source, tmp_path / "out.jsonl", limit=11).rows == 11
        assert run_file(run, source, tmp_path / "out.jsonl") == expected
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "local.jsonl").read_bytes()


@pytest.mark.soak
def test_a_batch_that_always_kills_its_worker_ends_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("autocog_core.runners.shards.MAX_DEATHS", 2)
    with RunnerRun(PROGRAM, MODELS, ShardsRunner(workers=1)) as run:
        runner = run.runner
        assert isinstance(runner, ShardsRunner)

        def rows() -> Iterator[Row]:
            for row in ROWS:
                if row.index == 8:
                    monkeypatch.setattr(runner, "_receive", killing)
                yield row

        receive = runner._receive

        def killing() -> Iterator[Any]:
            for process in runner._processes:
                if process.batch is not None:
                    os.kill(process._process.pid or 0, signal.SIGKILL)
            return receive()

        with pytest.raises(EngineError, match=r"a worker died 2 times at rows 8 to 15; .*signal 9"):
            list(run.output_rows(rows()))
