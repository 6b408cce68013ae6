"""run_dataset: a program as a step of Ray Data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from os import PathLike
from typing import Any, Literal

import pandas as pd
import ray.data

from autocog_core import Automaton, Budget, ConfigError
from autocog_core.dataset import run_frame
from autocog_core.runners import ModelReferences

#: Rows of a batch: enough for the models to work on several at once.
BATCH_ROWS = 64


def run_dataset(
    program: Automaton | str | PathLike[str],
    model: str | ModelReferences | None,
    dataset: ray.data.Dataset,
    *,
    probs: Literal["best", "all", "none", "winner"] = "best",
    prefix: str = "",
    values: Mapping[str, Any] | None = None,
    budget: Budget | None = None,
    strategy: Literal["token_tree", "text"] | None = None,
    concurrency: int | Literal["auto"] = 1,
    marginals: Sequence[str] = (),
    workers: int | tuple[int, int] = 1,
    gpus_per_worker: float = 0.0,
    cpus_per_worker: float = 1.0,
    batch_rows: int = BATCH_ROWS,
) -> ray.data.Dataset:
    """Run a program on each row of a dataset of Ray Data, and return it with new columns.

    It is a step of the dataset's plan: rows are worked on when the dataset is consumed, in a pool
    of actors that load the models once. Ray Data does not keep the order of rows, unless its
    `DataContext` says so. The new columns are those of `autocog_core.dataset.run_frame`.

    :param program: the automaton, or a program file.
    :param model: a model of the config file, None for its default model, or `ModelReferences`,
        which can also name a backend, and the models that actions name.
    :param dataset: the dataset, with a column for each input.
    :param probs: as in `run_frame`, and so are `prefix`, `values`, `budget`, `strategy`,
        `concurrency` (of each worker) and `marginals`.
    :param workers: the number of workers, or the lowest and the highest number.
    :param gpus_per_worker: the GPUs of each worker.
    :param cpus_per_worker: the processors of each worker, and the threads of its engines.
    :param batch_rows: rows that a worker gets at once.
    :returns: the dataset with the step.
    :raises ConfigError: if no such model is configured.
    :raises InputError: for a program with errors.
    """
    automaton = program if isinstance(program, Automaton) else Automaton.from_file(str(program))
    automaton.require_sound()
    models = model if isinstance(model, ModelReferences) else ModelReferences.of_config(model)
    settings: dict[str, Any] = {
        "probs": probs,
        "prefix": prefix,
        "values": values,
        "budget": budget,
        "strategy": strategy,
        "concurrency": concurrency,
        "marginals": tuple(marginals),
    }
    lowest, highest = (workers, workers) if isinstance(workers, int) else workers
    pool = ray.data.ActorPoolStrategy(min_size=lowest, max_size=highest)
    return dataset.map_batches(
        RowStep,
        fn_constructor_args=(automaton.to_dict(), models, models.versions(), settings),
        batch_format="pandas",
        batch_size=batch_rows,
        compute=pool,
        num_gpus=gpus_per_worker or None,
        num_cpus=cpus_per_worker,
    )


class RowStep:
    """The step, in an actor of Ray Data.

    :param program: the program as plain data.
    :param models: the models.
    :param versions: the versions of core and plugins where the dataset is made.
    :param settings: the other arguments of `run_frame`.
    :raises ConfigError: if other versions are installed here.
    """

    def __init__(
        self,
        program: Mapping[str, Any],
        models: ModelReferences,
        versions: Mapping[str, str],
        settings: dict[str, Any],
    ) -> None:
        here = models.versions()
        for name, version in versions.items():
            if here.get(name) != version:
                raise ConfigError(
                    f"a worker has {here.get(name)}, and others have {version}",
                    where=name,
                    hint="install the same versions everywhere",
                )
        self._automaton = Automaton.from_dict(program)
        self._settings = settings
        # Ray ends its actors, and with them the models.
        self._stack = ExitStack()
        self._main, self._others = self._stack.enter_context(models.load())

    def __call__(self, batch: pd.DataFrame) -> pd.DataFrame:
        """Return a batch with the new columns."""
        frame: pd.DataFrame = run_frame(
            self._automaton, self._main, batch, models=self._others, **self._settings
        )
        return frame
