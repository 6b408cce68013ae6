"""Automaton: the public class. `AutomatonGraph` is its data; this adds files, checks and runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from autocog_core.automaton.checks.action_checks import find_errors, require_sound
from autocog_core.automaton.checks.finding import Finding
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.automaton.winners import ChoiceProbs
from autocog_core.errors import AutocogError
from autocog_core.evaluation.concurrency import Concurrency
from autocog_core.evaluation.evaluation import Order, Strategy
from autocog_core.hooks.automaton_run import Budget
from autocog_core.hooks.client import BackendClient
from autocog_core.model.model import Model
from autocog_core.records.action import record_errors
from autocog_core.types.thought_tree import ThoughtTree


class Automaton(AutomatonGraph):
    """A finite thought automaton: the first action is where every path starts."""

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read a program from a .yaml or .json file.

        :raises InputError: naming every error by file, line and action.
        """
        from autocog_core.program.reading import read_file

        return cls._of(read_file(Path(path)))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read a program from plain data, as `to_dict` returns it.

        :raises InputError: naming every error by its place in the data.
        """
        from autocog_core.program.reading import read_data

        return cls._of(read_data(data))

    def to_dict(self) -> dict[str, Any]:
        """Return the program as plain data for JSON or YAML; `from_dict` gives an equal one."""
        from autocog_core.program.writing import to_data

        return to_data(self)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the program, in hexadecimal: equal for programs that do the same."""
        from autocog_core.program.writing import compute_digest

        return compute_digest(self)

    def errors(self) -> list[Finding]:
        """Return the errors that prevent a run and can be found without a model."""
        return list(self._errors)

    @cached_property
    def _errors(self) -> tuple[Finding, ...]:
        return (*find_errors(self), *record_errors(self))

    def require_sound(self) -> None:
        """Raise if the automaton has errors.

        :raises InputError: naming all of them.
        """
        require_sound(self, self._errors)

    def simplify(self) -> Self:
        """Return the automaton with every chain of texts merged; paths and scores stay equal.

        Texts that are fields of the record stay. So do texts with templates: bind these first.

        :raises InputError: for an automaton with errors.
        """
        self.require_sound()
        return super().simplify()

    def check(self, model: Model | None = None) -> list[Finding]:
        """Return all errors, which prevent a run, and warnings, which do not.

        :param model: also check what depends on this model's tokens.
        """
        from autocog_core.evaluation.warnings import find_warnings

        return [*self.errors(), *find_warnings(self, self._errors, model.client if model else None)]

    def run(
        self,
        model: Model,
        inputs: Mapping[str, Any] | None = None,
        *,
        models: Mapping[str, Model] | None = None,
        budget: Budget | None = None,
        strategy: Strategy | None = None,
        order: Order = "breadth_first",
        top: int | None = None,
        probs: ChoiceProbs = "all",
    ) -> ThoughtTree:
        """Evaluate all paths on a model.

        :param model: the model of actions that name none.
        :param inputs: values of the automaton's inputs.
        :param models: the models that actions name with `model`.
        :param budget: limits of the run; a run that reaches one returns the tree so far.
        :param strategy: "token_tree" scores exactly by token trees; "text" works on backends
            without token distributions. None takes the best that the model supports.
        :param order: "breadth_first" advances all paths together, "best_first" the likeliest one.
        :param top: with "best_first", stop once this many paths are proven to be the likeliest.
        :param probs: "winner" reads only what proves the best choice of each action, as with
            `Choose.top` 1; the paths stay the same. "all" reads all choices.
        :returns: the tree of all paths.
        :raises InputError: for an automaton with errors, or a missing value or model; for "winner",
            if an action follows several choices or has a threshold.
        """
        from autocog_core.evaluation.run import prepare_evaluation, run_to_end

        self.require_sound()
        return run_to_end(
            prepare_evaluation(
                self,
                inputs,
                _clients(model, models),
                digest=self.digest,
                budget=budget,
                strategy=strategy,
                order=order,
                top=top,
                probs=probs,
            )
        )

    def run_many(
        self,
        model: Model,
        rows: Iterable[Mapping[str, Any]],
        *,
        models: Mapping[str, Model] | None = None,
        budget: Budget | None = None,
        strategy: Strategy | None = None,
        concurrency: Concurrency = 1,
        keep_scores: bool = False,
        probs: ChoiceProbs = "all",
    ) -> Iterator[ThoughtTree | AutocogError]:
        """Run on many rows of inputs, and yield one result a row, in the order of the rows.

        :param model: as in `run`, and so are `models`, `budget` (for each row) and `strategy`.
        :param rows: values of the automaton's inputs, row by row.
        :param concurrency: how many rows are evaluated at once; "auto" takes what suits the models.
        :param keep_scores: whether the trees have the scores of all choices (`choice_scores`); the
            run then reads all of them, whatever `top` says.
        :param probs: as in `run`.
        :returns: for each row its tree, or the error that ended it.
        :raises InputError: for an automaton with errors.
        :raises AutocogError: for an error of every row: a closed model, a missing capability.
        """
        from autocog_core.evaluation.run_many import run_many

        self.require_sound()
        return run_many(
            self,
            _clients(model, models),
            rows,
            digest=self.digest,
            budget=budget,
            strategy=strategy,
            concurrency=concurrency,
            keep_scores=keep_scores,
            probs=probs,
        )

    @classmethod
    def _of(cls, graph: AutomatonGraph) -> Self:
        return cls(
            graph.actions,
            graph.vocabs,
            graph.inputs,
            description=graph.description,
            metadata=graph.metadata,
        )


def _clients(model: Model, models: Mapping[str, Model] | None) -> dict[str | None, BackendClient]:
    """Return the clients by the names that actions use; None names the main model."""
    return {None: model.client, **{name: other.client for name, other in (models or {}).items()}}
