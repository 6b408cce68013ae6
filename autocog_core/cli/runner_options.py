"""The options of `autocog run` that say where its rows are worked on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autocog_core.cli.loading import log_on_stderr
from autocog_core.cli.run_models import ProgramModels
from autocog_core.cli.session import session
from autocog_core.errors import UsageError

if TYPE_CHECKING:
    from autocog_core import Automaton
    from autocog_core.dataset import RunPlan
    from autocog_core.runners import Runner

#: The runner of a run without `--runner`: the models are in this process.
LOCAL = "local"


_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?", re.ASCII)


def _parse_workers(value: str | tuple[int, int]) -> tuple[int, int]:
    """Return the lowest and the highest number of workers."""
    if isinstance(value, tuple):
        return value
    match = _RANGE.fullmatch(value)
    if match is None:
        raise typer.BadParameter(f"{value!r} is neither a number nor a range such as 2-8")
    lowest = int(match[1])
    highest = int(match[2] or lowest)
    if highest < lowest:
        raise typer.BadParameter(f"{value!r} ends before it begins: write {highest}-{lowest}")
    return lowest, highest


@dataclass(frozen=True, kw_only=True)
class RunnerFlags:
    """The options that select a runner.

    :ivar runner: its name.
    :ivar workers: the lowest and the highest number of its workers.
    :ivar gpus_per_worker: the GPUs of each worker.
    :ivar address: the cluster.
    """

    runner: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Where the rows are worked on: local (this process), shards (several processes "
            "of this computer), ray (a Ray cluster; install autocog-ray), or another one that is "
            "installed.",
        ),
    ] = LOCAL
    workers: Annotated[
        Any,
        typer.Option(
            metavar="N|MIN-MAX",
            parser=_parse_workers,
            help="With --runner: the number of workers, each with the models. With ray also a "
            "range: MIN at the start, and more while rows wait.",
        ),
    ] = None
    gpus_per_worker: Annotated[
        float | None,
        typer.Option(metavar="X", help="With --runner ray: the GPUs of each worker (default: 0)."),
    ] = None
    address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="With --runner ray: the cluster, auto for the one that runs here (default: one "
            "that the command starts).",
        ),
    ] = None

    def given(self) -> dict[str, object]:
        """Return the options by name, None for those that were not given."""
        return {
            "--runner": None if self.runner == LOCAL else self.runner,
            "--workers": self.workers,
            "--gpus-per-worker": self.gpus_per_worker,
            "--address": self.address,
        }

    def find(self) -> Runner | None:
        """Return the runner, which has not started; None for this process.

        :raises UsageError: if it is not installed, or does not have a given option.
        """
        options: dict[str, Any] = {
            name.removeprefix("--").replace("-", "_"): value
            for name, value in self.given().items()
            if name != "--runner" and value is not None
        }
        if self.runner == LOCAL:
            for name in options:
                option = "--" + name.replace("_", "-")
                raise UsageError("requires another --runner, such as shards", where=option)
            return None
        from autocog_core.runners import load_runner

        if self.workers is not None:
            options["workers"], highest = self.workers
            if highest != options["workers"]:
                self._require_range()
                options["max_workers"] = highest
        return load_runner(self.runner, **options)

    def _require_range(self) -> None:
        from autocog_core.config import plugins

        runner_class = plugins.load_class(self.runner, plugins.RUNNERS)
        if "max_workers" not in runner_class.Options.model_fields:
            message = f'runner "{self.runner}" always has the same number of workers'
            raise UsageError(message, where="--workers", hint="give one number, not a range")


@contextmanager
def open_run(
    automaton: Automaton, models: ProgramModels, runner: Runner | None, settings: dict[str, Any]
) -> Iterator[RunPlan]:
    """Load the models, or start the workers that load them; end both with the block.

    :param automaton: the program.
    :param models: its models.
    :param runner: the runner; None for this process.
    :param settings: the other arguments of `Run`.
    """
    if runner is None:
        from autocog_core.dataset import Run

        with models.open() as (main, others):
            yield Run(automaton, main, models=others, **settings)
        return
    from autocog_core.runners import RunnerRun

    run = RunnerRun(automaton, models.references(), runner, **settings)
    with log_on_stderr():
        with session.spinner("starting workers ..."):
            run.__enter__()
        try:
            yield run
        finally:
            run.__exit__()
