"""The runner `ray` keeps the laws of runners, on a local Ray."""

from __future__ import annotations

import pytest

import autocog_core as autocog
from autocog_core.runners import ModelReferences, Runner, RunnerRun, load_runner
from autocog_core.testing import RunnerContractTests
from autocog_ray import RayRunner

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("local_ray")]


class TestRay(RunnerContractTests):
    def make_runner(self) -> Runner:
        return RayRunner(workers=2)

    # Each starts workers of its own, which takes seconds.
    @pytest.mark.soak
    def test_a_worker_that_dies_costs_no_row(self) -> None:
        super().test_a_worker_that_dies_costs_no_row()

    @pytest.mark.soak
    def test_an_error_of_all_rows_ends_the_run(self) -> None:
        super().test_an_error_of_all_rows_ends_the_run()

    @pytest.mark.soak
    def test_a_model_that_does_not_load_is_one_error(self) -> None:
        super().test_a_model_that_does_not_load_is_one_error()

    @pytest.mark.soak
    def test_a_cancelled_run_leaves_nothing_behind(self) -> None:
        super().test_a_cancelled_run_leaves_nothing_behind()


def test_the_options_are_checked_before_ray_starts() -> None:
    with pytest.raises(autocog.ConfigError, match=r'runner "ray": worker: .*"workers"'):
        load_runner("ray", worker=2)
    with pytest.raises(autocog.ConfigError, match=r"workers: .* greater than or equal to 1"):
        load_runner("ray", workers=0)
    assert isinstance(load_runner("ray", workers=3, gpus_per_worker=0.5), RayRunner)


def test_an_address_without_a_cluster_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def refuse(**options: object) -> None:
        raise ConnectionError("Could not find any running Ray instance. Please look.")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    program = autocog.Automaton.from_dict({"actions": [{"name": "a", "choices": ["x", "y"]}]})
    run = RunnerRun(program, ModelReferences.of_backend("random", {}), RayRunner(address="auto"))
    message = "no connection with Ray: Could not find any running Ray instance; start a cluster"
    with pytest.raises(autocog.ConfigError, match=message), run:
        pass
