"""One run of an automaton: its open paths, and their requests to the models.

A path at a Choose or Complete is a generator that yields requests and receives the answers. The
requests of all open paths go to the models together, so that paths share prefixes.
"""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, Literal

from autocog_core.automaton.actions import Choose, Complete, Text
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.errors import InputError
from autocog_core.evaluation.allowed_tokens import AllowedTokens
from autocog_core.evaluation.branch import (
    ActionResult,
    ModelAnswer,
    ModelRequest,
    count_evaluated_tokens,
    prune,
)
from autocog_core.evaluation.open_path import (
    OpenPath,
    contexts_after,
    count_visit,
    has_no_visits_left,
)
from autocog_core.evaluation.path_context import PathContext, PendingText
from autocog_core.evaluation.path_fields import FieldTemplates
from autocog_core.evaluation.text_scoring import finish_path
from autocog_core.evaluation.text_strategy import (
    choose_by_text,
    complete_by_text,
    finish_by_text,
)
from autocog_core.evaluation.token_masks import TokenMaskCache
from autocog_core.evaluation.tree_builder import TreeBuilder, count_unique_tokens
from autocog_core.evaluation.tree_choose import choose_by_tree
from autocog_core.evaluation.tree_complete import complete_by_tree
from autocog_core.hooks.automaton_run import AutomatonRun, Budget, Declined
from autocog_core.hooks.client import BackendClient
from autocog_core.types.prompt import Prompt, TextPiece, join_text
from autocog_core.types.thought_tree import ThoughtTree
from autocog_core.types.token_tree import TreeScores

#: "breadth_first": all open paths advance together. "best_first": the likeliest one advances.
Order = Literal["breadth_first", "best_first"]
#: "token_tree": exact scores by token trees. "text": the backend's own `choose` and `complete`.
Strategy = Literal["token_tree", "text"]


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
    ) -> None:
        self.clients = clients
        self._automaton = automaton
        self._strategies = strategies
        self._budget = budget or Budget()
        self._order = order
        self._top = top
        self._provenance = provenance or {}
        self._builder = TreeBuilder()
        self._active: list[OpenPath] = []
        self._queue: deque[OpenPath] = deque()
        self._heap: list[tuple[float, int, OpenPath]] = []
        self._path_count = 0
        self._enqueued = count()
        self._masks = {name: TokenMaskCache.for_model(client) for name, client in clients.items()}
        self._allowed: dict[str, AllowedTokens] = {}
        self._templates = FieldTemplates(automaton)
        self._stopped_by: str | None = None
        self._model_calls = 0
        self._tokens_evaluated = 0
        self._model_seconds = 0.0
        self._start_time = time.perf_counter()
        self._empty_contexts = {
            name: PathContext(text=() if strategies[name] == "text" else None) for name in clients
        }
        self._enqueue(
            OpenPath(node=-1, action=automaton.entry, contexts=self._empty_contexts, visits={})
        )

    def as_automaton_run(self) -> AutomatonRun | None:
        """Return the run for the hook `run_automata`; None if it needs several models or text."""
        if self.clients.keys() != {None} or self._strategies[None] != "token_tree":
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
        while self._active or self._queue or self._heap:
            if self._is_over_budget():
                open_paths = [*self._active, *self._queue, *(entry[2] for entry in self._heap)]
                self._builder.prune((path.node for path in open_paths), "budget")
                break
            if self._is_top_k_proven():
                break
            self._active += self._start_paths()
            if self._stopped_by is not None:
                continue
            requests: dict[str | None, list[ModelRequest]] = {}
            for path in self._active:
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
        for path in [path for path in self._active if path.model == model]:
            path_answers = [next(remaining) for _ in path.requests]
            self._tokens_evaluated += sum(map(count_evaluated_tokens, path_answers))
            was_scoring_texts = path.is_scoring_texts
            self._resume(path, path_answers)
            if was_scoring_texts:
                # Its next action may ask another model, whose answers are yet to come.
                self._enqueue(path, is_new=False)
        self._active = [path for path in self._active if path.steps is not None]

    def build_tree(self) -> ThoughtTree:
        """Return the tree so far."""
        seconds = time.perf_counter() - self._start_time
        nodes = self._builder.nodes
        return ThoughtTree(
            nodes=tuple(nodes),
            stopped_by=self._stopped_by,
            provenance=self._provenance,
            stats={
                "model_calls": self._model_calls,
                "tokens_evaluated": self._tokens_evaluated,
                "unique_tokens": count_unique_tokens(nodes),
                "seconds_model": self._model_seconds,
                "seconds_other": seconds - self._model_seconds,
            },
        )

    def _enqueue(self, path: OpenPath, *, is_new: bool = True) -> None:
        self._path_count += is_new
        if self._order == "best_first":
            heapq.heappush(self._heap, (-path.logprob, next(self._enqueued), path))
        else:
            self._queue.append(path)

    def _start_paths(self) -> list[OpenPath]:
        """Start waiting paths: all of them, or the likeliest if none is active."""
        paths: list[OpenPath] = []
        if self._order == "breadth_first":
            paths += self._queue
            self._queue.clear()
        elif not self._active and self._heap:
            paths.append(heapq.heappop(self._heap)[2])
        for path in paths:
            if self._is_over_budget(path):
                self._builder.prune([path.node], "budget")
            else:
                self._start(path)
        return [path for path in paths if path.steps is not None]

    def _is_over_budget(self, path: OpenPath | None = None) -> bool:
        """Return whether a limit of the budget ends the run, and note which.

        :param path: the path that continues, if one does.
        """
        if self._stopped_by is None:
            seconds = time.perf_counter() - self._start_time
            self._stopped_by = self._budget.exceeded(
                self._tokens_evaluated, self._path_count, seconds
            )
        if path is not None and path.action is not None and path.length >= self._budget.nodes:
            self._stopped_by = self._stopped_by or "nodes"
        return self._stopped_by is not None

    def _is_top_k_proven(self) -> bool:
        """Return whether no open path can still become one of the best `top` paths.

        The log-probability of a path never rises as it continues.
        """
        complete = self._builder.complete
        if self._top is None or self._order != "best_first" or len(complete) < self._top:
            return False
        lowest = sorted(complete, reverse=True)[self._top - 1]
        open_ = [path.logprob for path in self._active] + [-entry[0] for entry in self._heap[:1]]
        return all(logprob <= lowest for logprob in open_)

    def _start(self, path: OpenPath) -> None:
        """Enter the texts at the path's next action, and start the first other action."""
        while path.action is not None and (isinstance(path.action, Text) or path.action.is_fresh):
            if path.action.is_fresh:
                path.contexts = self._empty_contexts
            if not isinstance(path.action, Text):
                break
            self._enter_texts(path)
            if self._stopped_by is not None:
                return
            if path.action is None or not path.action.is_fresh:
                break
            # The texts end here: what follows is not in their context.
            path.is_scoring_texts = True
            self._start_end(path)
            if path.steps is not None:
                return
        if path.action is not None:
            path.action = self._templates.fill(path.action, path.fields)
        action, model = path.action, path.model
        client, context = self.clients[model], path.contexts[model]
        by_text = self._strategies[model] == "text"
        match action:
            case Choose():
                choose = choose_by_text if by_text else choose_by_tree
                path.steps = choose(client, action, context)
            case Complete() if by_text:
                path.steps = complete_by_text(client, action, context)
            case Complete():
                path.steps = complete_by_tree(client, action, context, self._allowed_for(action))
            case None:
                self._start_end(path)
                return
            case _:
                raise TypeError(f"no evaluation of a {type(action).__name__}")
        self._resume(path, None)

    def _start_end(self, path: OpenPath) -> None:
        """Start to give the texts at the end of a context their tokens and scores."""
        by_text = self._strategies[None] == "text"
        finish = finish_by_text if by_text else finish_path
        path.steps = finish(self.clients[None], path.contexts[None])
        self._resume(path, None)

    def _enter_texts(self, path: OpenPath) -> None:
        """Add a chain of texts to the tree, and to the contexts of all models.

        A loop of texts needs no model: the chain itself may be longer than the budget allows.
        """
        texts: list[PendingText] = []
        while (
            isinstance(path.action, Text)
            and not (texts and path.action.is_fresh)
            and not self._is_over_budget(path)
        ):
            action = self._templates.fill(path.action, path.fields)
            assert isinstance(action, Text)
            pieces = text_pieces(action.text)
            path.node = self._builder.add_text(path.node, action, join_text(pieces), path.logprob)
            path.fields = self._templates.after(path.fields, self._builder.nodes[path.node])
            path.length += 1
            texts.append(PendingText(pieces, path.node, action.evaluate))
            path.visits = count_visit(path.visits, action)
            path.action = self._automaton.successor(action)
            if path.action is not None and has_no_visits_left(path.visits, path.action):
                self._builder.prune([path.node], "max_visits")
                path.action = None
        if self._stopped_by is not None:
            self._builder.prune([path.node], "budget")
            return
        # The model of the next action determines the tokens of the texts, if it continues them.
        continues = path.action is not None and not path.action.is_fresh
        reader = path.model if continues else None
        self._builder.set_model((text.node for text in texts), reader)
        for_others = [PendingText(text.pieces) for text in texts]
        path.contexts = {
            name: context.with_texts(*(texts if name == reader else for_others))
            for name, context in path.contexts.items()
        }

    def _allowed_for(self, action: Complete) -> AllowedTokens:
        if action.uid not in self._allowed:
            client, masks = self.clients[action.model], self._masks[action.model]
            self._allowed[action.uid] = AllowedTokens.for_action(
                self._automaton, client, action, masks
            )
        return self._allowed[action.uid]

    def _resume(self, path: OpenPath, answers: Sequence[ModelAnswer] | None) -> None:
        """Send answers to a path's action, or start it."""
        assert path.steps is not None
        try:
            path.requests = next(path.steps) if answers is None else path.steps.send(answers)
        except StopIteration as end:
            path.steps = None
            path.requests = ()
            self._finish(path, end.value)

    def _finish(self, path: OpenPath, result: ActionResult) -> None:
        """Enter the result of a path's action, and enqueue the branches to follow."""
        builder = self._builder
        path.logprob += builder.set_tokens(result.texts, result.reason)
        if path.is_scoring_texts:
            path.is_scoring_texts = False
            return
        action = path.action
        if action is None:
            builder.mark_complete(path.node)
            return
        assert isinstance(action, Choose | Complete)
        visits = count_visit(path.visits, action)
        followers = [
            self._automaton.successor(action, index) for index in range(len(result.branches))
        ]
        # A branch to an exhausted action is pruned, unless all branches lead there.
        marked = [
            replace(branch, pruned_by="max_visits")
            if branch.pruned_by is None
            and follower is not None
            and len(action.successors) > 1
            and has_no_visits_left(visits, follower)
            else branch
            for branch, follower in zip(result.branches, followers, strict=True)
        ]
        for branch, follower in zip(prune(action, marked), followers, strict=True):
            node = builder.add_branch(path.node, action, branch, path.logprob)
            if branch.pruned_by is not None:
                continue
            if follower is None:
                builder.mark_complete(node)
            elif has_no_visits_left(visits, follower):
                builder.prune([node], "max_visits")
            else:
                self._enqueue(
                    OpenPath(
                        node=node,
                        action=follower,
                        contexts=contexts_after(path.contexts, action.model, branch),
                        visits=visits,
                        fields=self._templates.after(path.fields, builder.nodes[node]),
                        logprob=builder.nodes[node].path_logprob,
                        length=path.length + 1,
                    )
                )


def check_models(automaton: AutomatonGraph, names: Mapping[str | None, object]) -> None:
    """Check that there is a model for every name that an action uses.

    :raises InputError: names all missing models.
    """
    unknown = {action.model for action in automaton.actions} - names.keys()
    if unknown:
        raise InputError(
            "no model is given for " + ", ".join(sorted(map(repr, unknown))),
            where="models",
            hint="give models={name: model}",
        )


def text_pieces(text: object) -> tuple[TextPiece, ...]:
    """Return the pieces of a text action's text."""
    if isinstance(text, Prompt):
        return tuple(piece for piece in text.pieces if isinstance(piece, TextPiece))
    return (TextPiece(str(text)),)
