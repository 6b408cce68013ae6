"""One run of an automaton: its requests to the models, their answers, and its tree.

A path at a Choose or Complete is a generator that yields requests and receives the answers. The
requests of all open paths go to the models together, so that paths share prefixes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.errors import InputError
from autocog_core.evaluation.branch import ModelAnswer, ModelRequest, count_evaluated_tokens
from autocog_core.evaluation.frontier import Frontier, Order
from autocog_core.evaluation.path_runner import PathRunner
from autocog_core.evaluation.run_limits import RunLimits
from autocog_core.evaluation.text_strategy import Strategy
from autocog_core.evaluation.tree_builder import TreeBuilder, count_unique_tokens
from autocog_core.hooks.automaton_run import AutomatonRun, Budget, Declined
from autocog_core.hooks.client import BackendClient
from autocog_core.types.thought_tree import ThoughtTree
from autocog_core.types.token_tree import TreeScores

__all__ = ["Evaluation", "Order", "Strategy", "check_models"]


class Evaluation:
    """One run of an automaton. It makes no calls: it returns requests and receives answers.

    :param automaton: an automaton without errors, bound to its inputs.
    :param clients: the clients of its models by name; None names the main model.
    :param strategies: the strategy for each model.
    :param budget: the limits of the run.
    :param order: the order in which paths advance.
    :param top: with "best_first": the run stops when this many complete paths are proven to be
        the best. None evaluates all paths.
    :param provenance: the tree's `provenance`.
    :param keep_scores: whether the tree has the scores of all choices; then core runs it.
    """

    def __init__(
        self,
        automaton: AutomatonGraph,
        clients: Mapping[str | None, BackendClient],
        strategies: Mapping[str | None, Strategy],
        *,
        budget: Budget | None = None,
        order: Order = "breadth_first",
        top: int | None = None,
        provenance: Mapping[str, Any] | None = None,
        keep_scores: bool = False,
    ) -> None:
        self.clients = clients
        self._automaton = automaton
        self._strategies = strategies
        self._budget = budget or Budget()
        self._order = order
        self._top = top
        self._provenance = provenance or {}
        self._keep_scores = keep_scores
        self._model_calls = 0
        self._model_seconds = 0.0
        self._builder = TreeBuilder()
        self._frontier = Frontier(order, top)
        self._limits = RunLimits(self._budget)
        self._runner = PathRunner(
            automaton,
            clients,
            strategies,
            builder=self._builder,
            frontier=self._frontier,
            limits=self._limits,
            keep_scores=keep_scores,
        )

    def as_automaton_run(self) -> AutomatonRun | None:
        """Return the run for the hook `run_automata`; None if it needs several models or text."""
        if self.clients.keys() != {None} or self._strategies[None] != "token_tree":
            return None
        if self._keep_scores:
            return None
        return AutomatonRun(
            automaton=self._automaton,
            client=self.clients[None],
            budget=self._budget,
            best_first=self._order == "best_first",
            top=self._top,
            provenance=self._provenance,
        )

    def note_declined(self, declined: Declined) -> None:
        """Record in the tree's provenance why the engine does not run the automaton."""
        self._provenance = {**self._provenance, "evaluator": f"core: {declined.reason}"}

    def next_requests(self) -> dict[str | None, list[ModelRequest]]:
        """Return the next requests to each model; empty at the end of the run."""
        frontier, limits = self._frontier, self._limits
        while frontier:
            if limits.is_reached():
                self._prune_open_paths()
                break
            if frontier.is_top_proven(self._builder.complete):
                break
            self._start_paths()
            if limits.stopped_by is not None:
                continue
            requests: dict[str | None, list[ModelRequest]] = {}
            for path in frontier.active:
                requests.setdefault(path.model, []).extend(path.requests)
            if requests:
                return requests
        return {}

    def receive(self, model: str | None, answers: Sequence[ModelAnswer], seconds: float) -> None:
        """Continue the paths with a model's answers.

        :param model: the model's name.
        :param answers: the answers, in the order of the requests.
        :param seconds: how long the call took.
        """
        # All token trees are one call; every other request is one.
        trees = sum(isinstance(answer, TreeScores) for answer in answers)
        self._model_calls += len(answers) - trees + (trees > 0)
        self._model_seconds += seconds
        remaining = iter(answers)
        for path in [path for path in self._frontier.active if path.model == model]:
            path_answers = [next(remaining) for _ in path.requests]
            self._limits.tokens_evaluated += sum(map(count_evaluated_tokens, path_answers))
            self._runner.receive(path, path_answers)
        self._frontier.active = [path for path in self._frontier.active if path.steps is not None]

    def build_tree(self) -> ThoughtTree:
        """Return the tree so far."""
        seconds = self._limits.seconds
        self._runner.enter_open_groups()
        nodes = self._builder.nodes
        return ThoughtTree(
            nodes=tuple(nodes),
            stopped_by=self._limits.stopped_by,
            provenance=self._provenance,
            stats={
                "model_calls": self._model_calls,
                "tokens_evaluated": self._limits.tokens_evaluated,
                "unique_tokens": count_unique_tokens(nodes),
                "seconds_model": self._model_seconds,
                "seconds_other": seconds - self._model_seconds,
            },
            repeats=self._automaton.repeated_fields,
            choice_scores=self._builder.choice_scores,
        )

    def _start_paths(self) -> None:
        """Start the paths whose turn it is, as far as the budget allows."""
        started = []
        for path in self._frontier.take_waiting():
            if self._limits.is_reached(path):
                path.builder.prune([path.node], "budget")
            else:
                self._runner.start(path)
                started.append(path)
        self._frontier.active += [path for path in started if path.steps is not None]

    def _prune_open_paths(self) -> None:
        """Mark the ends of all open paths as those that the budget ended."""
        ends = [path.node for path in self._frontier.paths_of_automaton()]
        self._builder.prune([*ends, *self._runner.enter_open_groups()], "budget")


def check_models(automaton: AutomatonGraph, names: Mapping[str | None, object]) -> None:
    """Check that there is a model for every name that an action uses.

    :raises InputError: names all missing models.
    """
    unknown = {action.model for action in automaton.all_actions} - names.keys()
    if unknown:
        raise InputError(
            "no model is given for " + ", ".join(sorted(map(repr, unknown))),
            where="models",
            hint="give models={name: model}",
        )
