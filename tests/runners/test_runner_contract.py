"""The laws of runners hold for core's own and for one of 40 lines; broken ones are caught."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from autocog_core.runners import LocalRunner, Runner, ShardsRunner
from autocog_core.testing import LawViolation, RunnerContractTests, runner_laws
from tests.runners import thread_runner
from tests.runners.thread_runner import ThreadRunner


class TestLocal(RunnerContractTests):
    def make_runner(self) -> Runner:
        return LocalRunner()


class TestThreads(RunnerContractTests):
    def make_runner(self) -> Runner:
        return ThreadRunner()


@pytest.mark.slow
class TestShards(RunnerContractTests):
    def make_runner(self) -> Runner:
        return ShardsRunner(workers=2)

    @pytest.mark.soak
    def test_an_error_of_all_rows_ends_the_run(self) -> None:
        super().test_an_error_of_all_rows_ends_the_run()

    @pytest.mark.soak
    def test_a_model_that_does_not_load_is_one_error(self) -> None:
        super().test_a_model_that_does_not_load_is_one_error()


def test_a_runner_takes_40_lines() -> None:
    source = Path(inspect.getfile(ThreadRunner)).read_text()
    runner = source.partition("# The runner")[2].partition("# Its end.")[0]
    assert len([line for line in runner.splitlines()[1:] if line.strip()]) <= 40


@pytest.mark.parametrize(
    ("name", "law"),
    [
        ("LosesARow", "each_row_has_the_result_of_a_local_run"),
        ("LosesTheLastBatch", "each_row_has_the_result_of_a_local_run"),
        ("DoublesARow", "each_row_has_the_result_of_a_local_run"),
        ("DoublesTheLastBatch", "each_row_has_the_result_of_a_local_run"),
        ("ChangesTheOrder", "each_row_has_the_result_of_a_local_run"),
        ("ReadsAll", "few_rows_are_under_way"),
        ("LosesErrors", "an_error_of_all_rows_ends_the_run"),
        ("KeepsItsThreads", "a_cancelled_run_leaves_nothing_behind"),
    ],
)
def test_a_broken_runner_is_caught(name: str, law: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_laws, "_SECONDS_TO_STOP", 0.2)
    made: list[ThreadRunner] = []

    class Laws(RunnerContractTests):
        def make_runner(self) -> Runner:
            made.append(getattr(thread_runner, name)())
            return made[-1]

    with pytest.raises(LawViolation):
        getattr(Laws(), f"test_{law}")()
    Laws.teardown_class()
    for runner in made:
        ThreadRunner.stop(runner)
