"""The actions of paths: each one starts, receives its answers, and enters its branches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from autocog_core.automaton.actions import Ask, Choose, Complete, Messages, Text
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.evaluation.best_choices import choose_best, exhausted_choices
from autocog_core.evaluation.branch import ActionResult, ModelAnswer, prune
from autocog_core.evaluation.frontier import Frontier
from autocog_core.evaluation.group_run import OpenGroups
from autocog_core.evaluation.message_entry import MessageEntry
from autocog_core.evaluation.open_path import (
    OpenPath,
    contexts_after,
    count_visit,
    has_no_visits_left,
)
from autocog_core.evaluation.path_context import PathContext
from autocog_core.evaluation.path_fields import FieldTemplates
from autocog_core.evaluation.run_limits import RunLimits
from autocog_core.evaluation.text_chain import enter_texts
from autocog_core.evaluation.text_rules import TextRules
from autocog_core.evaluation.text_scoring import finish_path
from autocog_core.evaluation.text_strategy import (
    Strategy,
    choose_by_text,
    complete_by_text,
    finish_by_text,
)
from autocog_core.evaluation.thoughts import Thoughts
from autocog_core.evaluation.token_masks import TokenMaskCache
from autocog_core.evaluation.token_place import TokenPlace
from autocog_core.evaluation.tree_builder import TreeBuilder
from autocog_core.evaluation.tree_choose import choose_by_tree
from autocog_core.evaluation.tree_complete import complete_by_tree
from autocog_core.hooks.client import BackendClient


class PathRunner:
    """Advances the paths of one run.

    :param automaton: an automaton without errors, bound to its inputs.
    :param clients: the clients of its models by name; None names the main model.
    :param strategies: the strategy for each model.
    :param builder: the tree of the run.
    :param frontier: where paths wait.
    :param limits: the limits of the run.
    :param keep_scores: whether the tree has the scores of all choices.
    """

    def __init__(
        self,
        automaton: AutomatonGraph,
        clients: Mapping[str | None, BackendClient],
        strategies: Mapping[str | None, Strategy],
        *,
        builder: TreeBuilder,
        frontier: Frontier,
        limits: RunLimits,
        keep_scores: bool,
    ) -> None:
        self._automaton = automaton
        self._clients = clients
        self._strategies = strategies
        self._builder = builder
        self._frontier = frontier
        self._limits = limits
        self._keep_scores = keep_scores
        self._groups = OpenGroups()
        self._masks = {name: TokenMaskCache.for_model(client) for name, client in clients.items()}
        self._rules: dict[str, TextRules] = {}
        self._empty_contexts = {
            name: PathContext(text=() if strategies[name] == "text" else None) for name in clients
        }
        self._thoughts = Thoughts(clients, strategies)
        self._messages = MessageEntry(clients, self._empty_contexts)
        self._enqueue(
            OpenPath(
                graph=automaton,
                builder=builder,
                templates=FieldTemplates(automaton),
                node=-1,
                action=automaton.entry,
                contexts=self._empty_contexts,
                visits={},
            )
        )

    def start(self, path: OpenPath) -> None:
        """Enter the texts at the path's next action, and start the first other action."""
        if not path.has_thought and not self._enter_texts(path):
            return
        if path.action is None:
            self._start_end(path)
            return
        path.count_node()
        if isinstance(path.action, Ask):
            self._start_group(path, path.action)
            return
        if not path.has_thought and self._thoughts.start(path, path.action):
            self._resume(path, None)
            return
        self._start_action(path)

    def _enter_texts(self, path: OpenPath) -> bool:
        """Enter texts and messages; return whether the next action can start."""
        while path.action is not None and (
            isinstance(path.action, Text | Messages) or path.action.is_fresh
        ):
            if path.action.is_fresh:
                # The texts end here: what follows is not in their context.
                if path.has_untokenized_texts:
                    path.is_scoring_texts = True
                    self._start_end(path)
                    if path.steps is not None:
                        return False
                path.contexts = self._empty_contexts
                path.conversation = None
            if isinstance(path.action, Text):
                enter_texts(path, self._limits)
            elif isinstance(path.action, Messages):
                if not self._messages.enter(path, path.action, self._limits):
                    # The texts end here: the conversation begins again, with other tokens.
                    path.is_scoring_texts = True
                    self._start_end(path)
                    if path.steps is not None:
                        return False
            else:
                break
            if self._limits.stopped_by is not None:
                return False
        return True

    def _start_action(self, path: OpenPath) -> None:
        """Start a choice or completion."""
        assert path.action is not None
        path.action = path.templates.fill(path.action, path.fields)
        action, model = path.action, path.model
        client, context = self._clients[model], path.contexts[model]
        by_text = self._strategies[model] == "text"
        match action:
            case Choose():
                choose = choose_by_text if by_text else choose_by_tree
                path.steps = (
                    choose(client, action, context)
                    if action.top is None
                    else choose_best(
                        client,
                        action,
                        context,
                        choose,
                        exhausted=exhausted_choices(path.graph, action, path.visits),
                        is_whole=self._keep_scores,
                    )
                )
            case Complete() if by_text:
                path.steps = complete_by_text(client, action, context)
            case Complete():
                path.steps = complete_by_tree(client, action, context, self._rules_for(action))
            case _:
                raise TypeError(f"no evaluation of a {type(action).__name__}")
        self._resume(path, None)

    def receive(self, path: OpenPath, answers: Sequence[ModelAnswer]) -> None:
        """Continue a path with the answers to its requests."""
        was_scoring_texts, was_thinking = path.is_scoring_texts, path.is_thinking
        self._resume(path, answers)
        if was_scoring_texts or (was_thinking and not path.is_thinking):
            # Its next action may ask another model, whose answers are yet to come.
            self._frontier.add(path)

    def enter_open_groups(self) -> list[int]:
        """Enter the nodes of groups that have not ended, and return the ends of their paths."""
        return self._groups.enter_all()

    def _enqueue(self, path: OpenPath) -> None:
        """Add a path that continues after an action."""
        self._limits.path_count += path.question is None
        self._frontier.add(path)

    def _start_end(self, path: OpenPath) -> None:
        """Start to give the texts at the end of a context their tokens and scores."""
        model = path.model
        finish = finish_by_text if self._strategies[model] == "text" else finish_path
        path.steps = finish(self._clients[model], path.contexts[model])
        self._resume(path, None)

    def _start_group(self, path: OpenPath, action: Ask) -> None:
        """Start the questions of a group: side by side, each from the path's contexts."""
        questions = self._groups.start(path, action)
        for question in questions:
            self._frontier.add(question)
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

    def _rules_for(self, action: Complete) -> TextRules:
        if action.uid not in self._rules:
            client, masks = self._clients[action.model], self._masks[action.model]
            self._rules[action.uid] = TextRules.for_action(self._automaton, client, action, masks)
        return self._rules[action.uid]

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
        place = TokenPlace.of(result, path.contexts[path.model])
        path.logprob += builder.set_tokens(result.texts, place, result.reason, path.groups)
        if path.is_scoring_texts:
            path.is_scoring_texts = False
            path.groups = ()
            path.contexts = self._empty_contexts
            return
        if path.is_thinking:
            self._thoughts.finish(path, result.branches[0], place)
            return
        action = path.action
        if action is None:
            self._end(path, path.node)
            return
        assert isinstance(action, Choose | Complete)
        if path.has_thought:
            # The thoughts have begun its text.
            action = replace(action, context="continue")
        if self._keep_scores and result.scored is not None:
            request, scores = result.scored
            tail = path.contexts[action.model].constant_tail()
            builder.choice_scores[path.node] = (replace(request, constant_tail=tail), scores)
        visits = count_visit(path.visits, action)
        followers = [
            path.graph.successor(action, index if branch.choice is None else branch.choice)
            for index, branch in enumerate(result.branches)
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
        ends = []
        for branch, follower in zip(prune(action, marked), followers, strict=True):
            node = builder.add_branch(
                path.node, action, branch, place, path.logprob, path.context_node
            )
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
                chat = path.conversation
                self._enqueue(
                    OpenPath(
                        graph=path.graph,
                        builder=builder,
                        question=path.question,
                        node=node,
                        action=follower,
                        contexts=contexts_after(path.contexts, action.model, branch, node),
                        visits=visits,
                        fields=path.templates.after(path.fields, builder.nodes[node]),
                        templates=path.templates,
                        logprob=builder.nodes[node].path_logprob,
                        length=path.length,
                        conversation=None if chat is None else chat.with_text(branch.text),
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
