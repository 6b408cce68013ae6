"""Several runs at once: what their paths ask of a model goes to it in one call."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from autocog_core.caller import Caller
from autocog_core.errors import (
    AutocogError,
    CapabilityError,
    ClosedError,
    ConfigError,
    InputError,
    ModelLoadError,
    PluginError,
)
from autocog_core.fta.automaton import Automaton
from autocog_core.fta.budget import Budget
from autocog_core.fta.evaluate import Evaluation, Order, Strategy, check_models
from autocog_core.ftt import ThoughtTree
from autocog_core.types import TreeQuery
from autocog_core.version import __version__

if TYPE_CHECKING:
    from autocog_core.model import Model

#: What a run asks of each model.
_Asked = dict[str | None, list[TreeQuery]]
#: What would meet every row alike.
HOPELESS = (CapabilityError, ClosedError, ConfigError, ModelLoadError, PluginError)
STRATEGIES: tuple[Strategy, ...] = ("greedy", "complete+choose")


def prepare(
    automaton: Automaton,
    inputs: Mapping[str, Any] | None,
    model: Model,
    models: Mapping[str, Model] | None = None,
    *,
    budget: Budget | None = None,
    strategy: Strategy | None = None,
    order: Order = "breadth",
    top: int | None = None,
) -> Evaluation:
    """A run that is about to begin.

    :raises InputError: for an automaton with faults, a value or a model that is missing.
    """
    if strategy is not None and strategy not in STRATEGIES:
        raise InputError(
            f"{strategy!r} is unknown", where="strategy", hint="one of " + ", ".join(STRATEGIES)
        )
    if order not in ("breadth", "best"):
        raise InputError(f"{order!r} is unknown", where="order", hint="one of breadth, best")
    if top is not None and (order != "best" or top < 1):
        raise InputError(f"{top} is no number of paths", where="top", hint='1 or more, with "best"')
    named = {None: model} | dict(models or {})
    automaton.require_sound()
    check_models(automaton, named)
    ready = automaton.bind(inputs)
    ready.require_sound(paths=False)
    used = {action.model for action in automaton.actions} | {None}
    chosen = {name: strategy or strategy_of(named[name]) for name in used}
    return Evaluation(
        ready,
        {name: named[name].caller for name in used},
        chosen,
        budget=budget,
        order=order,
        top=top,
        header=_header(automaton, {name: named[name] for name in used}, chosen),
    )


def strategy_of(model: Model) -> Strategy:
    """The exact one, if the model's backend tells token distributions."""
    exact = {"greedy_impl", "greedy_tree_impl"} & set(model.capabilities)
    return "greedy" if exact else "complete+choose"


def drive(evaluation: Evaluation) -> ThoughtTree:
    """Run one automaton to its end."""
    while asked := evaluation.ask():
        for error in _serve([(evaluation, asked)]).values():
            raise error
    return evaluation.tree()


def run_many(
    automaton: Automaton,
    model: Model,
    rows: Iterable[Mapping[str, Any]],
    *,
    models: Mapping[str, Model] | None = None,
    budget: Budget | None = None,
    strategy: Strategy | None = None,
    concurrency: int = 1,
) -> Iterator[ThoughtTree | AutocogError]:
    """Run an automaton on many rows of inputs; one result a row, in their order.

    :param concurrency: how many rows are at work at once, in common calls of the model.
    :returns: for each row its tree, or the error that it met.
    :raises InputError: for an automaton with faults, which no row could mend.
    :raises AutocogError: what would meet every row: a closed model, a missing capability.
    """
    if concurrency < 1:
        raise InputError(f"{concurrency} is no number of rows", where="concurrency")
    automaton.require_sound()
    check_models(automaton, {None: model} | dict(models or {}))
    working: deque[_Row] = deque()
    coming = iter(rows)
    more = True
    while more or working:
        # A row that has ended waits for those before it; no more are taken than can be at work.
        while more and len(working) < concurrency:
            values = next(coming, None)
            if values is None:
                more = False
            else:
                working.append(_Row(automaton, values, model, models, budget, strategy))
        _advance([row for row in working if row.result is None])
        while working and (result := working[0].result) is not None:
            working.popleft()
            yield result


class _Row:
    """One row at work.

    :ivar result: once it has ended.
    """

    def __init__(
        self,
        automaton: Automaton,
        values: Mapping[str, Any],
        model: Model,
        models: Mapping[str, Model] | None,
        budget: Budget | None,
        strategy: Strategy | None,
    ) -> None:
        self.result: ThoughtTree | AutocogError | None = None
        try:
            self.evaluation = prepare(
                automaton, values, model, models, budget=budget, strategy=strategy
            )
        except HOPELESS:
            raise
        except AutocogError as error:
            self.result = error

    def ask(self) -> _Asked:
        """What it needs next; nothing if it has ended."""
        try:
            asked = self.evaluation.ask()
        except HOPELESS:
            raise
        except AutocogError as error:
            self.result = error
            return {}
        if not asked:
            self.result = self.evaluation.tree()
        return asked


Asked = tuple[Evaluation, dict[str | None, list[TreeQuery]]]


def _advance(rows: Sequence[_Row]) -> None:
    """One step of all rows; where it fails, each by itself, so that one does not harm another."""
    asking = {row.evaluation: (row, asked) for row in rows if (asked := row.ask())}
    try:
        failed = _serve([(evaluation, asked) for evaluation, (_, asked) in asking.items()])
    except HOPELESS:
        raise
    except AutocogError as error:
        failed = {}
        for evaluation, (row, _) in asking.items():
            if len(asking) == 1:
                failed[evaluation] = error
            elif again := row.ask():
                failed |= _alone(evaluation, again)
    for evaluation, failure in failed.items():
        asking[evaluation][0].result = failure


def _alone(evaluation: Evaluation, asked: _Asked) -> dict[Evaluation, AutocogError]:
    try:
        return _serve([(evaluation, asked)])
    except HOPELESS:
        raise
    except AutocogError as error:
        return {evaluation: error}


def _serve(asking: Sequence[tuple[Evaluation, _Asked]]) -> dict[Evaluation, AutocogError]:
    """Send what runs ask for to their models, one call a model, and give each its answers.

    :returns: runs that could not go on with their answers.
    :raises AutocogError: if a call fails; runs that have their answers by then may go on.
    """
    by_model: dict[Caller, list[tuple[Evaluation, str | None, list[TreeQuery]]]] = {}
    for evaluation, asked in asking:
        for name, queries in asked.items():
            caller = evaluation.callers[name]
            by_model.setdefault(caller, []).append((evaluation, name, queries))
    failed: dict[Evaluation, AutocogError] = {}
    for caller, parts in by_model.items():
        begun = time.perf_counter()
        answers = caller.greedy_tree([query for _, _, queries in parts for query in queries])
        seconds = (time.perf_counter() - begun) / len(parts)
        place = 0
        for evaluation, name, queries in parts:
            mine = answers[place : place + len(queries)]
            place += len(queries)
            try:
                evaluation.take(name, mine, seconds)
            except AutocogError as error:
                failed[evaluation] = error
    return failed


def _header(
    automaton: Automaton,
    models: Mapping[str | None, Model],
    strategies: Mapping[str | None, Strategy],
) -> dict[str, Any]:
    main = models[None]
    header: dict[str, Any] = {
        "automaton": automaton.digest,
        "model": {"name": main.info.name, "fingerprint": main.info.fingerprint},
        "strategy": strategies[None],
        "version": __version__,
    }
    others = {
        name: {
            "name": model.info.name,
            "fingerprint": model.info.fingerprint,
            "strategy": strategies[name],
        }
        for name, model in models.items()
        if name is not None
    }
    if others:
        header["models"] = others
    return header
