"""What a runner of somebody else does wrong is said of it, in one sentence."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from autocog_core import Automaton, ContractError
from autocog_core.config.plugin_label import find_raising_plugin, label_of_plugin
from autocog_core.dataset import Row
from autocog_core.runners import Batch, Job, LocalRunner, ModelReferences, RunnerRun
from tests.support.small_backends import forget, install

PROGRAM = Automaton.from_dict({"actions": [{"name": "answer", "choices": ["a", "b"]}]})
ROWS = [Row(index, {}) for index in range(20)]
SOURCE = """
    from autocog_core.runners import LocalRunner

    class Mine(LocalRunner):
        def run(self, batches):
            raise ZeroDivisionError("mine")
"""


class ReportsNothing(LocalRunner):
    def start(self, job: Job) -> Any:
        super().start(job)


class ReturnsNothing(LocalRunner):
    def run(self, batches: Iterable[Batch]) -> Any:
        return None


class YieldsNothing(LocalRunner):
    def run(self, batches: Iterable[Batch]) -> Any:
        for _ in batches:
            yield None


@pytest.mark.parametrize(
    ("runner", "message"),
    [
        (ReportsNothing, "`start` returned NoneType in place of a WorkerReport"),
        (ReturnsNothing, "`run` returned NoneType in place of an iterator"),
        (YieldsNothing, "`run` yielded NoneType in place of a WorkedBatch"),
    ],
)
def test_what_is_no_answer_names_the_runner(runner: type[LocalRunner], message: str) -> None:
    made = runner()
    run = RunnerRun(PROGRAM, ModelReferences.of_backend("random", {}), made)

    def work() -> None:
        with run:
            list(run.output_rows(ROWS))

    with pytest.raises(ContractError, match=message) as caught:
        work()
    assert runner.__name__ in caught.value.where
    # Its worker is closed.
    assert made._worker is None


def test_an_exception_is_that_of_its_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = {"autocog.runners": {"mine": "my_own_runner:Mine"}}
    install(tmp_path, "my-own", points, {"my_own_runner": SOURCE})
    monkeypatch.syspath_prepend(tmp_path)
    runner = importlib.import_module("my_own_runner").Mine()
    try:
        assert label_of_plugin(runner) == "Mine (my-own 1.0)"
        run = RunnerRun(PROGRAM, ModelReferences.of_backend("random", {}), runner)
        with run, pytest.raises(ZeroDivisionError) as caught:
            list(run.output_rows(ROWS))
        found = find_raising_plugin(caught.value)
        assert found is not None
        assert (found.distribution, found.name) == ("my-own", "mine")
    finally:
        forget("my_own_runner")
