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

from autocog_core.automaton.actions import Ask, Choose, Complete, Text
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
from autocog_core.evaluation.group_run import OpenGroups
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
        self._builder = TreeBuilder()
        self._keep_scores = keep_scores
        self._active: list[OpenPath] = []
        self._queue: deque[OpenPath] = deque()
        self._heap: list[tuple[float, int, OpenPath]] = []
        self._groups = OpenGroups()
        self._question_paths: deque[OpenPath] = deque()
        self._path_count = 0
        self._enqueued = count()
        self._masks = {name: TokenMaskCache.for_model(client) for name, client in clients.items()}
        self._allowed: dict[str, AllowedTokens] = {}
        self._stopped_by: str | None = None
        self._model_calls = 0
        self._tokens_evaluated = 0
        self._model_seconds = 0.0
        self._start_time = time.perf_counter()
        self._empty_contexts = {
            name: PathContext(text=() if strategies[name] == "text" else None) for name in clients
        }
        self._enqueue(
            OpenPath(
                graph=automaton,
                builder=self._builder,
                templates=FieldTemplates(automaton),
                node=-1,
                action=automaton.entry,
                contexts=self._empty_contexts,
                visits={},
            )
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
        while self._active or self._queue or self._heap or self._question_paths:
            if self._is_over_budget():
                self._prune_open_paths()
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
        self._groups.enter_all()
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
            choice_scores=self._builder.choice_scores,
        )

    def _prune_open_paths(self) -> None:
        """Mark the ends of all open paths as those that the budget ended."""
        paths = [*self._active, *self._queue, *(entry[2] for entry in self._heap)]
        ends = [path.node for path in paths if path.question is None]
        self._builder.prune([*ends, *self._groups.enter_all()], "budget")

    def _enqueue(self, path: OpenPath, *, is_new: bool = True) -> None:
        if path.question is not None:
            # A question is a part of a path that is active already.
            self._question_paths.append(path)
            return
        self._path_count += is_new
        if self._order == "best_first":
            heapq.heappush(self._heap, (-path.logprob, next(self._enqueued), path))
        else:
            self._queue.append(path)

    def _start_paths(self) -> list[OpenPath]:
        """Start waiting paths: all of them, or the likeliest if none is active."""
        if self._order == "best_first":
            waiting = deque[OpenPath]()
            if not self._active and not self._question_paths and self._heap:
                waiting.append(heapq.heappop(self._heap)[2])
        else:
            waiting, self._queue = self._queue, deque()
        started = []
        while waiting or self._question_paths:
            # A group that starts adds its questions: they advance together with the other paths.
            path = (self._question_paths or waiting).popleft()
            if self._is_over_budget(path):
                path.builder.prune([path.node], "budget")
            else:
                self._start(path)
                started.append(path)
        return [path for path in started if path.steps is not None]

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
        active = [*self._active, *self._question_paths]
        open_ = [self._groups.upper_bound(path) for path in active] + [
            -entry[0] for entry in self._heap[:1]
        ]
        return all(logprob <= lowest for logprob in open_)

    def _start(self, path: OpenPath) -> None:
        """Enter the texts at the path's next action, and start the first other action."""
        while path.action is not None and (isinstance(path.action, Text) or path.action.is_fresh):
            if path.action.is_fresh:
                # The texts end here: what follows is not in their context.
                if path.has_untokenized_texts:
                    path.is_scoring_texts = True
                    self._start_end(path)
                    if path.steps is not None:
                        return
                path.contexts = self._empty_contexts
            if not isinstance(path.action, Text):
                break
            self._enter_texts(path)
            if self._stopped_by is not None:
                return
            if path.action is None or not path.action.is_fresh:
                break
        if isinstance(path.action, Ask):
            self._start_group(path, path.action)
            return
        if path.action is not None:
            path.action = path.templates.fill(path.action, path.fields)
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
        model = path.model
        finish = finish_by_text if self._strategies[model] == "text" else finish_path
        path.steps = finish(self.clients[model], path.contexts[model])
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
            action = path.templates.fill(path.action, path.fields)
            assert isinstance(action, Text)
            pieces = text_pieces(action.text)
            path.node = path.builder.add_text(
                path.node, action, join_text(pieces), path.logprob, path.context_node
            )
            path.context_node = None
            path.fields = path.templates.after(path.fields, path.builder.nodes[path.node])
            if path.question is not None:
                path.question.end = path.node
            path.length += 1
            texts.append(pending_text(action, path.node))
            path.visits = count_visit(path.visits, action)
            path.action = path.graph.successor(action)
            if path.action is not None and has_no_visits_left(path.visits, path.action):
                path.builder.prune([path.node], "max_visits")
                path.action = None
        if self._stopped_by is not None:
            path.builder.prune([path.node], "budget")
            return
        # The model of the next action determines the tokens of the texts, if it continues them.
        reader = path.reader
        path.builder.set_model((text.node for text in texts), reader)
        for_others = [replace(text, node=-1, evaluate=False) for text in texts]
        path.contexts = {
            name: context.with_texts(*(texts if name == reader else for_others))
            for name, context in path.contexts.items()
        }

    def _start_group(self, path: OpenPath, action: Ask) -> None:
        """Start the questions of a group: side by side, each from the path's contexts."""
        questions = self._groups.start(path, action)
        self._question_paths += questions
        if not questions:
            self._continue_after_group(path)

    def _continue_after_group(self, path: OpenPath) -> None:
        if path.action is None and not path.has_untokenized_texts:
            path.builder.mark_complete(path.node)
        else:
            self._enqueue(path)

    def _end(self, path: OpenPath, node: int) -> None:
        """End a path at a node; the last question of a group continues the group's path."""
        if path.question is None:
            path.builder.mark_complete(node)
        elif (joined := self._groups.end_question(path.question)) is not None:
            self._continue_after_group(joined)

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
        builder = path.builder
        path.logprob += builder.set_tokens(result.texts, result.reason, path.groups)
        if path.is_scoring_texts:
            path.is_scoring_texts = False
            path.groups = ()
            path.contexts = self._empty_contexts
            return
        action = path.action
        if action is None:
            self._end(path, path.node)
            return
        assert isinstance(action, Choose | Complete)
        if self._keep_scores and result.scored is not None:
            request, scores = result.scored
            tail = path.contexts[action.model].constant_tail()
            path.builder.choice_scores[path.node] = (replace(request, constant_tail=tail), scores)
        visits = count_visit(path.visits, action)
        followers = [path.graph.successor(action, index) for index in range(len(result.branches))]
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
        ends = []
        for branch, follower in zip(prune(action, marked), followers, strict=True):
            node = builder.add_branch(path.node, action, branch, path.logprob, path.context_node)
            if branch.pruned_by is not None:
                continue
            if path.question is not None:
                path.question.end = node
            if follower is not None and has_no_visits_left(visits, follower):
                builder.prune([node], "max_visits")
                follower = None
            if follower is None:
                ends.append(node)
            else:
                self._enqueue(
                    OpenPath(
                        graph=path.graph,
                        builder=builder,
                        question=path.question,
                        node=node,
                        action=follower,
                        contexts=contexts_after(path.contexts, action.model, branch),
                        visits=visits,
                        fields=path.templates.after(path.fields, builder.nodes[node]),
                        templates=path.templates,
                        logprob=builder.nodes[node].path_logprob,
                        length=path.length + 1,
                    )
                )
        if path.question is not None and all(branch.pruned_by is not None for branch in marked):
            # All of them lead to an exhausted action: the question ends with the best one.
            ranks = [branch.rank for branch in marked]
            path.question.end = len(builder.nodes) - len(marked) + ranks.index(max(ranks))
            ends.append(path.question.end)
        # After all branches have entered the tree: the end of a question may end its group.
        for node in ends:
            self._end(path, node)


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


def pending_text(action: Text, node: int) -> PendingText:
    """Return the text of an action, before its tokens are known.

    :param node: index of its node in the tree.
    """
    return PendingText(text_pieces(action.text), node, action.evaluate, action.constant_tail)


def text_pieces(text: object) -> tuple[TextPiece, ...]:
    """Return the pieces of a text action's text."""
    if isinstance(text, Prompt):
        return tuple(piece for piece in text.pieces if isinstance(piece, TextPiece))
    return (TextPiece(str(text)),)
