"""Runs of automata in the extension: Python tokenizes, and makes the trees once they are done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from autocog_core import (
    AutocogError,
    Choose,
    Complete,
    NumericsError,
    Text,
    ThoughtNode,
    ThoughtTree,
)
from autocog_core.automaton import AutomatonGraph
from autocog_core.evaluation.prepared_steps import (
    nothing_allowed,
    pieces_of,
    prepare_automaton,
    prepare_step,
)
from autocog_core.hooks import AutomatonRun, Declined
from autocog_llamacpp.extension.session import NativeSession

Result = ThoughtTree | AutocogError
#: Makes what is held while the engine is at work.
Turn = Callable[[], AbstractContextManager[Any]]


def evaluate(
    session: NativeSession,
    turn: Callable[[], AbstractContextManager[Any]],
    runs: Sequence[AutomatonRun],
) -> list[Result] | Declined:
    """What automata come to; see `autocog_core.hooks.specs.evaluate`.

    :param turn: held while the engine is at work, and let go between.
    """
    for run in runs:
        if reason := unserved(run.automaton):
            return Declined(reason)
    return _Evaluation(session, turn, runs).results()


def unserved(automaton: AutomatonGraph) -> str:
    """What the extension cannot do of an automaton; empty if there is nothing."""
    for action in automaton.actions:
        if isinstance(action, Complete) and action.samples:
            return f'action "{action.uid}" draws samples'
    return ""


class _Evaluation:
    """Some runs at work, by their numbers in the extension.

    What it meets is of one run, and no end of the others.
    """

    def __init__(
        self,
        session: NativeSession,
        turn: Turn,
        runs: Sequence[AutomatonRun],
    ) -> None:
        self._session = session
        self._turn = turn
        self._runs = session.begin_runs()
        self._results: dict[int, Result] = {}
        self._of: dict[int, AutomatonRun] = {}
        self._order: list[int] = []
        for place, run in enumerate(runs):
            try:
                number = self._runs.begin(prepare_automaton(run))
            except AutocogError as error:
                number = -1 - place
                self._results[number] = error
            else:
                self._of[number] = run
            self._order.append(number)

    def results(self) -> list[Result]:
        """One result a run, in their order."""
        while self._of:
            with self._turn():
                reason = self._session.advance(self._runs)
            for number in self._runs.waiting():
                if self._runs.done(number):
                    self._end(number, reason)
                else:
                    self._give_sites(number)
        return [self._results[number] for number in self._order]

    def _give_sites(self, number: int) -> None:
        try:
            self._give_missing(number)
        except AutocogError:
            try:
                # Before the path that does not fit, one may be that shares its site with others.
                self._give_missing(number)
            except AutocogError as error:
                self._let_go(number, error)

    def _give_missing(self, number: int) -> None:
        run = self._of[number]
        for key, action, ids, pending in self._runs.missing(number):
            site = prepare_step(run, action, ids, pending)
            self._runs.give(number, key, action, len(ids), len(pending), site)

    def _end(self, number: int, reason: str) -> None:
        run = self._of[number]
        found = self._runs.result(number)
        try:
            self._session.end_run(self._runs, number, reason)
        except AutocogError as error:
            self._let_go(number, error)
        else:
            self._let_go(number, _result(self._session.native, run, found))

    def _let_go(self, number: int, result: Result) -> None:
        del self._of[number]
        self._runs.end(number)
        self._results[number] = result


def _result(native: Any, run: AutomatonRun, found: tuple[Any, ...]) -> Result:
    nodes, stopped, number, action, calls, evaluated, unique, seconds_model, seconds = found
    fault = native.FAULTS[number]
    if fault == "nothing_allowed":
        return nothing_allowed(run.automaton.actions[action].uid)
    if fault is not None:
        return NumericsError(
            "the engine answered "
            + ("NaN" if fault == "not_a_number" else "numbers above 0")
            + " where log-probabilities are due",
            where=run.client.who,
            hint="the weights may be damaged, or the dtype too narrow for this model",
        )
    stats = {
        "model_calls": calls,
        "tokens_evaluated": evaluated,
        "unique_tokens": unique,
        "seconds_model": seconds_model,
        "seconds_other": seconds - seconds_model,
    }
    made = tuple(_node(native, run, *node) for node in nodes)
    return ThoughtTree(made, stopped or None, {**run.provenance, "evaluator": "engine"}, stats)


def _node(
    native: Any,
    run: AutomatonRun,
    number: int,
    choice: int,
    raw: bytes,
    tokens: tuple[int, ...],
    logprobs: tuple[float, ...],
    logprob: float,
    length: int,
    prob: float,
    pruned: int,
    finish: int,
    last: bool,
    retokenized: bool,
    parent: int,
) -> ThoughtNode:
    action = run.automaton.actions[number]
    if isinstance(action, Text):
        text = "".join(piece.text for piece in pieces_of(action.text))
    elif isinstance(action, Choose):
        text = str(action.choices[choice])
    else:
        text = raw.decode("utf-8", errors="replace")
    return ThoughtNode(
        action.uid,
        text,
        tokens,
        logprobs,
        logprob,
        length,
        prob,
        native.PRUNED[pruned],
        native.FINISH[finish],
        last,
        retokenized=retokenized,
        name=action.name,
        parent=parent,
    )
