"""Job: what a worker needs to know to work on rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autocog_core.automaton.winners import ChoiceProbs
from autocog_core.dataset.expected import Gold
from autocog_core.dataset.input_rows import Row
from autocog_core.dataset.run import Run
from autocog_core.evaluation.concurrency import Concurrency
from autocog_core.evaluation.evaluation import Strategy
from autocog_core.hooks.automaton_run import Budget
from autocog_core.model.automaton import Automaton
from autocog_core.model.model import Model
from autocog_core.runners.model_references import ModelReferences

#: Rows that a worker gets at once, in the order of the input.
Batch = tuple[Row, ...]


@dataclass(frozen=True, kw_only=True)
class Job:
    """A program, its models by reference, and how to run it. It can be pickled.

    The other fields are those of `autocog_core.dataset.RunPlan`.

    :ivar program: the program as plain data.
    :ivar models: the models.
    :ivar has_trees: whether the trees of the rows are wanted.
    :ivar folder: the folder to which paths that are in no config file are relative.
    """

    program: Mapping[str, Any]
    models: ModelReferences
    values: Mapping[str, Any]
    budget: Budget | None
    concurrency: Concurrency
    gold: Gold | None
    strategy: Strategy | None
    marginals: Sequence[str]
    probs: ChoiceProbs
    has_trees: bool
    folder: Path

    def prepare(self, model: Model, models: Mapping[str, Model]) -> Run:
        """Return the run of this job on loaded models.

        :param model: the main model.
        :param models: the models that actions name.
        """
        return Run(
            Automaton.from_dict(self.program),
            model,
            models=models,
            values=self.values,
            budget=self.budget,
            concurrency=self.concurrency,
            gold=self.gold,
            strategy=self.strategy,
            marginals=self.marginals,
            probs=self.probs,
        )
