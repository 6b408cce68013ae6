"""Automaton: the public class. Its data is `AutomatonGraph`; this adds files, checks and runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from autocog_core.automaton.checks.action_checks import faults_of, require_sound
from autocog_core.automaton.checks.finding import Finding
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.errors import AutocogError
from autocog_core.evaluation.evaluation import Order, Strategy
from autocog_core.hooks.automaton_run import Budget
from autocog_core.hooks.client import BackendClient
from autocog_core.model.model import Model
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
        """Sha256 of what it does, in hexadecimal: equal for equal programs."""
        from autocog_core.program.writing import digest_of

        return digest_of(self)

    def faults(self) -> list[Finding]:
        """List everything that prevents a run and is known without a model."""
        return list(self._faults)

    @cached_property
    def _faults(self) -> tuple[Finding, ...]:
        return tuple(faults_of(self))

    def require_sound(self) -> None:
        """Refuse an automaton with errors.

        :raises InputError: naming all of them.
        """
        require_sound(self, self._faults)

    def simplify(self) -> Self:
        """Return the automaton with every chain of texts merged; paths and scores stay equal.

        Texts that are fields of the record stay, and so do those with templates: bind these first.

        :raises InputError: for an automaton with errors.
        """
        self.require_sound()
        return super().simplify()

    def check(self, model: Model | None = None) -> list[Finding]:
        """List all errors, which prevent a run, and warnings, which do not.

        :param model: check also what depends on its tokens.
        """
        from autocog_core.evaluation.warnings import warnings_of

        return [*self.faults(), *warnings_of(self, self._faults, model.client if model else None)]

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
    ) -> ThoughtTree:
        """Evaluate all paths on a model.

        :param inputs: values for the automaton's inputs.
        :param models: those that actions name with `model`.
        :param budget: where to stop, with the tree as far as it is.
        :param strategy: "token_tree" for exact scores by token trees; "text" for what
            backends without token distributions offer. None takes what the model can.
        :param order: "breadth_first" evaluates all paths together; "best_first" the likeliest
            first.
        :param top: with "best_first": stop as soon as this many paths are proven the likeliest.
        :raises InputError: for an automaton with errors, a value or a model that is missing.
        """
        from autocog_core.evaluation.run import prepare, run_to_end

        self.require_sound()
        return run_to_end(
            prepare(
                self,
                inputs,
                _clients(model, models),
                digest=self.digest,
                budget=budget,
                strategy=strategy,
                order=order,
                top=top,
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
        concurrency: int = 1,
    ) -> Iterator[ThoughtTree | AutocogError]:
        """Run on many rows of inputs: yield one result a row, in their order.

        :param concurrency: how many rows are evaluated at once.
        :returns: for each row its tree, or the error that it met.
        :raises InputError: for an automaton with errors, which no row could avoid.
        :raises AutocogError: for what every row would meet: a closed model, a missing capability.
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
