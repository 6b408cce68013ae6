"""Runs automata in the extension. Python tokenizes the texts, and builds the thought trees."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, cast

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
    no_token_allowed_error,
    prepare_automaton,
    prepare_step,
    text_pieces,
)
from autocog_core.hooks import AutomatonRun, Declined
from autocog_core.toolkit import join_text
from autocog_llamacpp.extension.session import NativeSession
from autocog_llamacpp.llama.independent import IndependentSession

Result = ThoughtTree | AutocogError
#: Longer paths are run by core.
MAX_PATH_LENGTH = 10_000
#: Returns a context manager that holds the engine's lock.
EngineLock = Callable[[], AbstractContextManager[Any]]


def run_automata(
    session: NativeSession, engine_lock: EngineLock, runs: Sequence[AutomatonRun]
) -> list[Result] | Declined:
    """Run automata; see `autocog_core.hooks.specs.run_automata`.

    :param engine_lock: locks the engine while it computes. Other calls can use it in between.
    """
    for run in runs:
        if reason := unsupported_feature(run.automaton, adds_bos=run.client.info.adds_bos):
            return Declined(reason)
        if run.automaton.max_path_length > min(MAX_PATH_LENGTH, run.budget.nodes):
            # Core looks at the budget at every text of a loop; the extension between its calls.
            return Declined(f"a path may have more than {MAX_PATH_LENGTH:,} nodes")
    return _RunGroup(session, engine_lock, runs).results()


def run_automata_alone(
    independent: IndependentSession, engine_lock: EngineLock, runs: Sequence[AutomatonRun]
) -> list[Result] | Declined:
    """Run automata one by one, each from an empty cache; see `run_automata`.

    The engine stays locked during a run: another call would change what the run has cached.
    """
    results: list[Result] = []
    for run in runs:
        with engine_lock():
            independent.begin()
            result = run_automata(cast(NativeSession, independent.session), engine_lock, [run])
        if isinstance(result, Declined):
            return result
        results += result
    return results


def unsupported_feature(automaton: AutomatonGraph, *, adds_bos: bool) -> str:
    """Return a feature of the automaton that the extension does not support; empty if none.

    :param adds_bos: whether the model begins each sequence with BOS.
    """
    for action in automaton.actions:
        # Without BOS and prompt, the text depends on the path, and the tree has to name it.
        has_prompt = isinstance(action, Choose) and (action.unconditional_prompt or adds_bos)
        if isinstance(action, Choose) and action.norm == "pmi" and not has_prompt:
            return f'action "{action.uid}" has no unconditional prompt'
        if isinstance(action, Complete) and action.samples:
            return f'action "{action.uid}" draws samples'
        if isinstance(action, Choose) and action.texts.has_several:
            return f'action "{action.uid}" has choices with several texts'
        if not isinstance(action, Text | Choose | Complete):
            return f'action "{action.uid}" is a {type(action).__name__}'
    return ""


class _RunGroup:
    """Runs in the extension, by their ids there. An error of a run does not affect the others."""

    def __init__(
        self, session: NativeSession, engine_lock: EngineLock, runs: Sequence[AutomatonRun]
    ) -> None:
        self._session = session
        self._engine_lock = engine_lock
        self._group = session.new_run_group()
        self._results: dict[int, Result] = {}
        self._runs: dict[int, AutomatonRun] = {}
        self._ids: list[int] = []
        for index, run in enumerate(runs):
            try:
                run_id = self._group.start(prepare_automaton(run))
            except AutocogError as error:
                # The extension's ids are not negative.
                run_id = -1 - index
                self._results[run_id] = error
            else:
                self._runs[run_id] = run
            self._ids.append(run_id)

    def results(self) -> list[Result]:
        """Return the result of each run, in the order of the runs."""
        while self._runs:
            with self._engine_lock():
                reason = self._session.advance_runs(self._group)
            for run_id in self._group.waiting():
                if self._group.is_done(run_id):
                    self._finish_done(run_id, reason)
                else:
                    self._prepare_steps(run_id)
        return [self._results[run_id] for run_id in self._ids]

    def _prepare_steps(self, run_id: int) -> None:
        try:
            self._prepare_missing_steps(run_id)
        except AutocogError:
            # The error of the first failing path counts. A path before this one may need a step
            # that was just added for a shorter path, and be too long for the context.
            try:
                self._prepare_missing_steps(run_id)
            except AutocogError as error:
                self._finish(run_id, error)

    def _prepare_missing_steps(self, run_id: int) -> None:
        run = self._runs[run_id]
        for key, action, ids, pending in self._group.missing_steps(run_id):
            step = prepare_step(run, action, ids, pending)
            self._group.add_step(run_id, key, action, len(ids), len(pending), step)

    def _finish_done(self, run_id: int, reason: str) -> None:
        result = _to_result(self._runs[run_id], self._group.result(run_id))
        try:
            self._session.finish_run(self._group, run_id, reason)
        except AutocogError as error:
            result = error
        self._finish(run_id, result)

    def _finish(self, run_id: int, result: Result) -> None:
        del self._runs[run_id]
        self._group.finish(run_id)
        self._results[run_id] = result


def _to_result(run: AutomatonRun, fields: Mapping[str, Any]) -> Result:
    error = fields["error"]
    if error == "nothing_allowed":
        return no_token_allowed_error(
            f'action "{run.automaton.actions[fields["error_action"]].uid}"'
        )
    if error is not None:
        return NumericsError(
            "the engine answered "
            + ("NaN" if error == "not_a_number" else "numbers above 0")
            + " where log-probabilities are due",
            where=run.client.model_name,
            hint="the weights may be damaged, or the dtype too narrow for this model",
        )
    seconds_model = fields["seconds_model"]
    stats = {
        "model_calls": fields["model_calls"],
        "tokens_evaluated": fields["tokens_evaluated"],
        "unique_tokens": fields["unique_tokens"],
        "seconds_model": seconds_model,
        "seconds_other": fields["seconds"] - seconds_model,
    }
    return ThoughtTree(
        nodes=tuple(_to_node(run, node) for node in fields["nodes"]),
        stopped_by=fields["stopped_by"] or None,
        provenance={**run.provenance, "evaluator": "engine"},
        stats=stats,
        repeats=run.automaton.repeated_fields,
    )


def _to_node(run: AutomatonRun, fields: Mapping[str, Any]) -> ThoughtNode:
    action = run.automaton.actions[fields["action"]]
    value = unconditional_prompt = None
    kind: Literal["text", "choice", "beam"] = "beam"
    if isinstance(action, Text):
        text, kind = join_text(text_pieces(action.text)), "text"
    elif isinstance(action, Choose):
        text, kind = action.texts.texts[fields["choice"]], "choice"
        value = action.texts.values[fields["choice"]]
        if action.norm == "pmi":
            unconditional_prompt = action.unconditional_prompt or ""
    else:
        text = fields["text"].decode("utf-8", errors="replace")
    return ThoughtNode(
        uid=action.uid,
        text=text,
        value=text if value is None else value,
        tokens=fields["tokens"],
        logprobs=fields["logprobs"],
        path_logprob=fields["path_logprob"],
        length=fields["length"],
        prob=fields["prob"],
        prob_bounds=fields["prob_bounds"],
        pruned_by=fields["pruned_by"],
        finish_reason=fields["finish_reason"],
        last=fields["last"],
        retokenized=fields["retokenized"],
        unconditional_prompt=unconditional_prompt,
        name=action.name,
        parent=fields["parent"],
        kind=kind,
        kept_tokens=fields["kept_tokens"],
        tokens_before=fields["tokens_before"],
    )
