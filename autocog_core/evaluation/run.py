"""One run of an automaton, from the checks of its arguments to its tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autocog_core.automaton.actions import Ask, Choose, Complete, Messages
from autocog_core.automaton.checks.action_checks import require_sound
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.automaton.templates.work_limit import limit_seconds
from autocog_core.automaton.winners import ChoiceProbs, require_winners, with_winners
from autocog_core.errors import AutocogError, InputError
from autocog_core.evaluation.dispatch import Dispatcher, ModelCall
from autocog_core.evaluation.evaluation import Evaluation, Order, Strategy, check_models
from autocog_core.evaluation.run_checks import check_runs
from autocog_core.evaluation.warnings import issue_warnings
from autocog_core.hooks.automaton_run import AutomatonRun, Budget, Declined
from autocog_core.hooks.client import BackendClient
from autocog_core.records.action import RecordEnd, expand_records
from autocog_core.types.thought_tree import ThoughtTree
from autocog_core.version import __version__

STRATEGIES: tuple[Strategy, ...] = ("token_tree", "text")


def prepare_evaluation(
    automaton: AutomatonGraph,
    inputs: Mapping[str, Any] | None,
    clients: Mapping[str | None, BackendClient],
    *,
    digest: str,
    budget: Budget | None = None,
    strategy: Strategy | None = None,
    order: Order = "breadth_first",
    top: int | None = None,
    keep_scores: bool = False,
    probs: ChoiceProbs = "all",
) -> Evaluation:
    """Check the arguments of a run, and return the run before its first request.

    :param automaton: an automaton without errors.
    :param inputs: the values of its inputs.
    :param clients: the clients of the models by name; None names the main model.
    :param digest: the program's hash, for the tree's provenance.
    :param budget: the limits of the run. Its templates over inputs have the same time once more.
    :param strategy: the strategy for all models; None for the best that each one supports.
    :param order: the order in which paths advance.
    :param top: with "best_first": number of complete paths to prove as the best.
    :param keep_scores: whether the tree has the scores of all choices.
    :param probs: "winner" reads only what proves the best choice of each action.
    :raises InputError: for a wrong argument, a missing input or a missing model; also if the
        automaton has errors with these inputs.
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
            f'expected a whole number >= 1 with order "best_first", got {top}', where="top"
        )
    check_models(automaton, clients)
    require_winners(automaton, probs)
    with limit_seconds(None if budget is None else budget.seconds):
        bound = with_winners(automaton.bind(inputs), probs)
    require_sound(bound, paths=False)
    issue_warnings(automaton, bound, clients[None], digest)
    names = {action.model for action in automaton.all_actions} | {None}
    used_clients = {name: clients[name] for name in names}
    strategies = {
        name: strategy or default_strategy(client) for name, client in used_clients.items()
    }
    documents = [name for name, used in strategies.items() if used == "text"]
    return Evaluation(
        expand_records(bound, documents),
        used_clients,
        strategies,
        budget=budget,
        order=order,
        top=top,
        keep_scores=keep_scores,
        provenance={
            **_provenance(digest, used_clients, strategies),
            **({} if probs == "all" else {"probs": probs}),
        },
    )


def default_strategy(client: BackendClient) -> Strategy:
    """Return "token_tree" if the backend returns token distributions, otherwise "text"."""
    has_distributions = {"greedy_impl", "greedy_tree_impl"} & set(client.capabilities)
    return "token_tree" if has_distributions else "text"


def run_to_end(evaluation: Evaluation, dispatcher: Dispatcher | None = None) -> ThoughtTree:
    """Run an automaton in its engine if possible, otherwise in core, and return the tree.

    :param evaluation: the run.
    :param dispatcher: makes the calls; None for a new one.
    """
    results = run_in_engine([evaluation])
    if results is None:
        return run_in_core(evaluation, dispatcher)
    (result,) = results
    if isinstance(result, AutocogError):
        raise result
    return result


def run_in_engine(evaluations: Sequence[Evaluation]) -> Sequence[ThoughtTree | AutocogError] | None:
    """Run one automaton several times in its engine.

    :param evaluations: the runs, at least one.
    :returns: the tree or the error of each run; None if core must run them.
    """
    runs = [run for evaluation in evaluations if (run := evaluation.as_automaton_run())]
    if len(runs) < len(evaluations):
        return None
    results = call_engine(runs)
    if not isinstance(results, Declined):
        return results
    for evaluation in evaluations:
        evaluation.note_declined(results)
    return None


def run_in_core(evaluation: Evaluation, dispatcher: Dispatcher | None = None) -> ThoughtTree:
    """Run an automaton in core, even if its engine could run it.

    :param evaluation: the run.
    :param dispatcher: makes the calls; None for a new one.
    """
    if dispatcher is None:
        with Dispatcher() as new_dispatcher:
            return run_in_core(evaluation, new_dispatcher)
    while requests := evaluation.next_requests():
        calls = [ModelCall(evaluation.clients[name], [requests[name]]) for name in requests]
        for name, result in zip(requests, dispatcher.dispatch(calls), strict=True):
            (answers,) = result.answers_by_run
            if isinstance(answers, Exception):
                raise answers
            evaluation.receive(name, answers, result.seconds)
    return evaluation.build_tree()


def call_engine(
    runs: Sequence[AutomatonRun],
) -> Sequence[ThoughtTree | AutocogError] | Declined | None:
    """Call the hook `run_automata` with runs on one model.

    :param runs: the runs, at least one.
    :returns: the tree or the error of each run; `Declined` if the engine or a wrapper does not
        support them; None if the engine does not implement the hook.
    """
    client = runs[0].client
    if not client.hooks.run_automata.get_hookimpls():
        return None
    if client.is_watched:
        return Declined("a wrapper watches each evaluation")
    if reason := _only_in_core(runs[0].automaton):
        return Declined(reason)
    # Without the client's lock: the engine takes it for each evaluation, so that other calls can
    # run between them.
    client.require_open()
    hook = "run_automata"
    results: Sequence[ThoughtTree | AutocogError] | Declined | None
    results = client.call_unlocked(hook, lambda: client.hooks.run_automata(runs=runs))
    if results is not None and not isinstance(results, Declined):
        client.check(hook, check_runs, results, runs, client.info)
    return results


def _only_in_core(automaton: AutomatonGraph) -> str:
    """Return what only core can run, whatever the engine; empty if there is nothing."""
    for uid in automaton.field_uses:
        return f'a template of action "{uid}" uses fields'
    for action in automaton.all_actions:
        if isinstance(action, Ask):
            return f'action "{action.uid}" is a group of questions'
        if isinstance(action, Choose | Complete) and action.thinking is not None:
            return f'action "{action.uid}" lets the model think'
        if isinstance(action, Messages):
            return f'action "{action.uid}" has messages'
        if action.is_fresh:
            return f'action "{action.uid}" begins a new text'
        if isinstance(action, RecordEnd):
            return f'action "{action.start}" is a record'
        if isinstance(action, Complete) and action.constraint is not None:
            return f'action "{action.uid}" has a constraint'
    return ""


def _provenance(
    digest: str,
    clients: Mapping[str | None, BackendClient],
    strategies: Mapping[str | None, Strategy],
) -> dict[str, Any]:
    main = clients[None]
    provenance: dict[str, Any] = {
        "automaton": digest,
        "model": _model_identity(main),
        "strategy": strategies[None],
        "version": __version__,
    }
    others = {
        name: {**_model_identity(client), "strategy": strategies[name]}
        for name, client in clients.items()
        if name is not None
    }
    if others:
        provenance["models"] = others
    return provenance


def _model_identity(client: BackendClient) -> dict[str, Any]:
    info = client.info
    identity = {
        "name": info.name,
        # The backend's own code computes it, on the first access.
        "fingerprint": client.call_unlocked("describe", lambda: info.fingerprint),
    }
    if client.template_arguments:
        identity["template_arguments"] = dict(client.template_arguments)
    return identity
