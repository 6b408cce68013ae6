"""Several runs at once: what their paths ask of a model goes to it in one call."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from autocog_core.caller import Caller
from autocog_core.errors import (
    AutocogError,
    CapabilityError,
    ClosedError,
    ConfigError,
    EngineError,
    InputError,
    ModelLoadError,
    PluginError,
)
from autocog_core.fta.automaton import Automaton
from autocog_core.fta.budget import Budget
from autocog_core.fta.evaluate import Evaluation, Strategy, check_models
from autocog_core.fta.running import prepare
from autocog_core.ftt import ThoughtTree
from autocog_core.types import TreeQuery, TreeScores

if TYPE_CHECKING:
    from autocog_core.model import Model

#: What would meet every row alike.
HOPELESS = (CapabilityError, ClosedError, ConfigError, ModelLoadError, PluginError)


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
                working.append(
                    _Row(
                        partial(
                            prepare,
                            automaton,
                            values,
                            model,
                            models,
                            budget=budget,
                            strategy=strategy,
                        )
                    )
                )
        _advance([row for row in working if row.result is None])
        while working and (result := working[0].result) is not None:
            working.popleft()
            yield result


class _Row:
    """One row at work. Whatever it raises is its result, and no end of the others.

    :param prepared: makes the run.
    :ivar result: once it has ended. `asked`: what it needs next of each model.
    """

    def __init__(self, prepared: Callable[[], Evaluation]) -> None:
        self.result: ThoughtTree | AutocogError | None = None
        self.asked: Mapping[str | None, list[TreeQuery]] = {}
        self.callers: Mapping[str | None, Caller] = {}
        try:
            self._evaluation = prepared()
            self.callers = self._evaluation.callers
        except Exception as error:  # noqa: BLE001 - a bad row is no end of the run
            self.fail(error)

    def ask(self) -> bool:
        """Whether it goes on, and so needs something of a model."""
        try:
            self.asked = self._evaluation.ask()
            if not self.asked:
                self.result = self._evaluation.tree()
        except Exception as error:  # noqa: BLE001
            self.fail(error)
        return self.result is None

    def take(self, name: str | None, answers: Sequence[TreeScores], seconds: float) -> None:
        """What a model has answered."""
        try:
            self._evaluation.take(name, answers, seconds)
        except Exception as error:  # noqa: BLE001
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """End with an error; one that every row would meet is raised."""
        if isinstance(error, HOPELESS):
            raise error
        if isinstance(error, AutocogError):
            self.result = error
            return
        self.result = EngineError(f"{type(error).__name__}: {error}")
        self.result.__cause__ = error


def _advance(rows: Sequence[_Row]) -> None:
    """One step of all rows; where it fails, each by itself, so that one does not harm another."""
    asking = [row for row in rows if row.ask()]
    try:
        if len(asking) > 1:
            _serve(asking)
            return
    except HOPELESS:
        raise
    except Exception:  # noqa: BLE001 - whose fault it is shows when each is served alone
        # Those that were served before it failed ask for something else now.
        asking = [row for row in asking if row.result is None and row.ask()]
    for row in asking:
        try:
            _serve([row])
        except Exception as error:  # noqa: BLE001
            row.fail(error)


def _serve(rows: Sequence[_Row]) -> None:
    """Send what rows ask for to their models, one call a model, and give each its answers.

    :raises Exception: if a call fails; rows that have their answers by then may go on.
    """
    by_model: dict[Caller, list[tuple[_Row, str | None]]] = {}
    for row in rows:
        for name in row.asked:
            by_model.setdefault(row.callers[name], []).append((row, name))
    for caller, parts in by_model.items():
        begun = time.perf_counter()
        answers = caller.greedy_tree([query for row, name in parts for query in row.asked[name]])
        seconds = (time.perf_counter() - begun) / len(parts)
        place = 0
        for row, name in parts:
            end = place + len(row.asked[name])
            row.take(name, answers[place:end], seconds)
            place = end
