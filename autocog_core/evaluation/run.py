"""One run: everything is checked and said before the first call, then driven to its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autocog_core.automaton.checks.action_checks import require_sound
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.errors import AutocogError, ContractError, InputError
from autocog_core.evaluation.dispatch import Call, Dispatcher
from autocog_core.evaluation.evaluation import Evaluation, Order, Strategy, check_models
from autocog_core.hooks.automaton_run import AutomatonRun, Budget, Declined
from autocog_core.hooks.client import BackendClient
from autocog_core.types.thought_tree import ThoughtTree
from autocog_core.version import __version__

STRATEGIES: tuple[Strategy, ...] = ("token_tree", "text")


def prepare(
    automaton: AutomatonGraph,
    inputs: Mapping[str, Any] | None,
    clients: Mapping[str | None, BackendClient],
    *,
    digest: str,
    budget: Budget | None = None,
    strategy: Strategy | None = None,
    order: Order = "breadth_first",
    top: int | None = None,
) -> Evaluation:
    """Check everything that rows can change, and return a run that is about to start.

    :param automaton: without errors.
    :param callers: the models by the names that actions use; None is the main one.
    :param digest: of the program, for the tree.
    :raises InputError: for an automaton with faults, a value or a model that is missing.
    """
    if strategy is not None and strategy not in STRATEGIES:
        raise InputError(
            f"{strategy!r} is unknown", where="strategy", hint="one of " + ", ".join(STRATEGIES)
        )
    if order not in ("breadth_first", "best_first"):
        raise InputError(
            f"{order!r} is unknown", where="order", hint="one of breadth_first, best_first"
        )
    if top is not None and (order != "best_first" or top < 1):
        raise InputError(
            f"{top} is no number of paths", where="top", hint='1 or more, with "best_first"'
        )
    check_models(automaton, clients)
    ready = automaton.bind(inputs)
    require_sound(ready, paths=False)
    used = {action.model for action in automaton.actions} | {None}
    chosen = {name: strategy or strategy_of(clients[name]) for name in used}
    return Evaluation(
        ready,
        {name: clients[name] for name in used},
        chosen,
        budget=budget,
        order=order,
        top=top,
        header=_header(digest, {name: clients[name] for name in used}, chosen),
    )


def strategy_of(client: BackendClient) -> Strategy:
    """Return the exact one if the backend gives token distributions."""
    exact = {"greedy_impl", "greedy_tree_impl"} & set(client.capabilities)
    return "token_tree" if exact else "text"


def run_to_end(evaluation: Evaluation, serving: Dispatcher | None = None) -> ThoughtTree:
    """Run it to its end.

    :param serving: what calls its models; None for one of its own.
    """
    (found,) = run_in_engine([evaluation]) or (None,)
    if isinstance(found, AutocogError):
        raise found
    if found is not None:
        return found
    return run_in_core(evaluation, serving)


def run_in_engine(evaluations: Sequence[Evaluation]) -> Sequence[ThoughtTree | AutocogError] | None:
    """What their engine makes of runs of one automaton; None leaves them to core's evaluator."""
    runs = [whole for one in evaluations if (whole := one.whole())]
    if len(runs) < len(evaluations):
        return None
    found = call_engine(runs)
    if not isinstance(found, Declined):
        return found
    for one in evaluations:
        one.say(found)
    return None


def run_in_core(evaluation: Evaluation, serving: Dispatcher | None = None) -> ThoughtTree:
    """Run it to its end by core's evaluator, whatever its engine offers.

    :param serving: what calls its models; None for one of its own.
    """
    if serving is None:
        with Dispatcher() as own:
            return run_in_core(evaluation, own)
    while asked := evaluation.ask():
        calls = [Call(evaluation.clients[name], [asked[name]]) for name in asked]
        for name, served in zip(asked, serving.serve(calls), strict=True):
            (found,) = served.outcomes
            if isinstance(found, Exception):
                raise found
            evaluation.take(name, found, served.seconds)
    return evaluation.tree()


def _header(
    digest: str,
    clients: Mapping[str | None, BackendClient],
    strategies: Mapping[str | None, Strategy],
) -> dict[str, Any]:
    main = clients[None]
    header: dict[str, Any] = {
        "automaton": digest,
        "model": {"name": main.info.name, "fingerprint": main.info.fingerprint},
        "strategy": strategies[None],
        "version": __version__,
    }
    others = {
        name: {
            "name": client.info.name,
            "fingerprint": client.info.fingerprint,
            "strategy": strategies[name],
        }
        for name, client in clients.items()
        if name is not None
    }
    if others:
        header["models"] = others
    return header


def call_engine(
    runs: Sequence[AutomatonRun],
) -> Sequence[ThoughtTree | AutocogError] | Declined | None:
    """What the engine makes of runs on one model, one result a run; None: it does not do that.

    Wrappers that watch each evaluation would miss them: with one of these, core evaluates.
    """
    client = runs[0].client
    if not client.hooks.run_automata.get_hookimpls():
        return None
    if client.watched:
        return Declined("a wrapper watches each evaluation")
    # Without the client's lock: the engine takes turns itself, so that others may use it between.
    client.require_open()
    found: Sequence[ThoughtTree | AutocogError] | Declined | None
    found = client.hooks.run_automata(runs=runs)
    if found is not None and not isinstance(found, Declined) and len(found) != len(runs):
        raise ContractError(
            f"run_automata: {len(found)} answers for {len(runs)} runs", where=client.who
        )
    return found
