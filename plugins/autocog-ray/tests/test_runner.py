"""The runner `ray` keeps the laws of runners, on a local Ray."""

from __future__ import annotations

import itertools
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

import autocog_core as autocog
from autocog_core.dataset import Row
from autocog_core.runners import ModelReferences, Runner, RunnerRun, load_runner
from autocog_core.testing import RunnerContractTests
from autocog_ray import RayRunner
from autocog_ray.connection import connect
from tests.support.processes import child_environment
from tests.support.small_backends import install

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("local_ray")]

#: How long workers may take to load their models.
SECONDS = 120
PROGRAM = autocog.Automaton.from_dict(
    {
        "inputs": {"text": "text"},
        "actions": [{"text": "{{ text }}:"}, {"name": "answer", "choices": ["a", "b"]}],
    }
)


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


@pytest.mark.soak
def test_a_worker_that_always_dies_while_it_starts_ends_the_run(tmp_path: Path) -> None:
    source = """
        import os
        from autocog_core.backends.random import RandomLM

        class Dies(RandomLM):
            def __init__(self, **options):
                os._exit(3)
    """
    points = {"autocog": {"dies": "a_backend_that_dies:Dies"}}
    install(tmp_path, "autocog-dies", points, {"a_backend_that_dies": source})
    (tmp_path / "program.json").write_text(json.dumps(PROGRAM.to_dict()))
    (tmp_path / "rows.jsonl").write_text('{"text": "No 1"}')
    environment = child_environment()
    environment["PYTHONPATH"] += os.pathsep + str(tmp_path)
    script = "from autocog_core.cli.main import main; main()"
    command = [sys.executable, "-c", script, "run", "program.json", "--input", "rows.jsonl"]
    command += ["--output", "out.jsonl", "--backend", "dies", "--runner", "ray", "--workers", "1"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert done.stdout == ""
    error = [line for line in done.stderr.splitlines() if "error: " in line]
    assert len(error) == 1
    assert "a worker was lost 3 times while it started" in error[0]


@pytest.mark.soak
def test_workers_are_added_while_batches_wait_and_ended_when_none_is_left() -> None:
    runner = RayRunner(workers=1, max_workers=3, cpus_per_worker=0.5)
    counts = []
    deadline = time.monotonic() + SECONDS

    def rows() -> Iterator[Row]:
        """Yield rows until the others have loaded their models, too."""
        for index in itertools.count():
            if max(counts, default=0) == 3 or time.monotonic() > deadline:
                return
            yield Row(index, {"text": f"No {index}"})

    with RunnerRun(PROGRAM, ModelReferences.of_backend("random", {}), runner) as run:
        assert (runner.workers, runner.workers_at_start) == (3, 1)
        few = [Row(index, {"text": f"No {index}"}) for index in range(8)]
        for _ in run.output_rows(few):
            counts.append(len(runner._pool or ()))
        assert set(counts) == {1}
        for number, result in enumerate(run.output_rows(rows())):
            assert result["row"] == number
            counts.append(len(runner._pool or ()))
        assert max(counts) == 3
        assert len(runner._pool or ()) == 1


def test_the_options_are_checked_before_ray_starts() -> None:
    with pytest.raises(autocog.ConfigError, match=r'runner "ray": worker: .*"workers"'):
        load_runner("ray", worker=2)
    with pytest.raises(autocog.ConfigError, match=r"workers: .* greater than or equal to 1"):
        load_runner("ray", workers=0)
    with pytest.raises(autocog.ConfigError, match="max_workers: is below workers, which are 4"):
        load_runner("ray", workers=4, max_workers=3)
    assert isinstance(load_runner("ray", workers=3, gpus_per_worker=0.5), RayRunner)


def test_an_address_that_nobody_answers_is_an_error_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with socket.socket() as taken:
        # It listens to nobody.
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(autocog.ConfigError, match=f"no connection .*{address} does not answer"):
            connect(address)


def test_an_address_without_a_cluster_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**options: object) -> None:
        raise ConnectionError("Could not find any running Ray instance. Please look.")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    program = autocog.Automaton.from_dict({"actions": [{"name": "a", "choices": ["x", "y"]}]})
    run = RunnerRun(program, ModelReferences.of_backend("random", {}), RayRunner(address="auto"))
    message = "no connection with Ray: Could not find any running Ray instance; start a cluster"
    with pytest.raises(autocog.ConfigError, match=message), run:
        pass
