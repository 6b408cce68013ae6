"""One run: everything is checked and said before the first call, then driven to its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from autocog_core.errors import AutocogError, InputError
from autocog_core.fta.automaton import Automaton
from autocog_core.fta.budget import Budget
from autocog_core.fta.evaluate import Evaluation, Order, Strategy, check_models
from autocog_core.fta.serving import Call, Serving
from autocog_core.fta.whole import Declined, take_over
from autocog_core.ftt import ThoughtTree
from autocog_core.version import __version__

if TYPE_CHECKING:
    from autocog_core.model import Model

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


def drive(evaluation: Evaluation, serving: Serving | None = None) -> ThoughtTree:
    """Run it to its end.

    :param serving: what calls its models; None for one of its own.
    """
    (found,) = taken_over([evaluation]) or (None,)
    if isinstance(found, AutocogError):
        raise found
    if found is not None:
        return found
    return drive_here(evaluation, serving)


def taken_over(evaluations: Sequence[Evaluation]) -> Sequence[ThoughtTree | AutocogError] | None:
    """What their engine makes of runs of one automaton; None leaves them to core's evaluator."""
    runs = [whole for one in evaluations if (whole := one.whole())]
    if len(runs) < len(evaluations):
        return None
    found = take_over(runs)
    if not isinstance(found, Declined):
        return found
    for one in evaluations:
        one.say(found)
    return None


def drive_here(evaluation: Evaluation, serving: Serving | None = None) -> ThoughtTree:
    """Run it to its end by core's evaluator, whatever its engine offers.

    :param serving: what calls its models; None for one of its own.
    """
    if serving is None:
        with Serving() as own:
            return drive_here(evaluation, own)
    while asked := evaluation.ask():
        calls = [Call(evaluation.callers[name], [asked[name]]) for name in asked]
        for name, served in zip(asked, serving.serve(calls), strict=True):
            (found,) = served.outcomes
            if isinstance(found, Exception):
                raise found
            evaluation.take(name, found, served.seconds)
    return evaluation.tree()


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
