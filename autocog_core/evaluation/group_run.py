"""A group on one path: its questions advance side by side, each with nodes of its own.

A question knows nothing of the others, so its nodes are numbered from 0 and its sums begin at 0.
When all questions have ended, their nodes enter the tree one question after the other: so a path
stays a chain of nodes.
"""

from __future__ import annotations

from dataclasses import replace

from autocog_core.automaton.actions import Ask
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.evaluation.open_path import (
    OpenPath,
    Question,
    count_visit,
    has_no_visits_left,
)
from autocog_core.evaluation.path_context import PathContext
from autocog_core.types.thought_tree import Pruned, ThoughtNode

#: In a question, index of the first node of its group's path; that of the second is one less.
#: Nodes of the question itself count from 0.
_FIRST_OUTER_NODE = -3


class OpenGroups:
    """The groups of a run that have not ended."""

    def __init__(self) -> None:
        self._groups: dict[int, _GroupRun] = {}

    def start(self, path: OpenPath, action: Ask) -> list[OpenPath]:
        """Return the paths of a group's questions, each from the contexts of a path.

        If there are none, the path itself continues after the group.

        :param path: the path that reaches the group.
        :param action: the group.
        """
        node = path.builder.add_group(path.node, action, path.logprob, path.context_node)
        path.node, path.context_node = node, None
        path.visits = count_visit(path.visits, action)
        group = _GroupRun(path, action, node, path.graph.question_graphs(action))
        if group.paths:
            self._groups[node] = group
        else:
            group.join()
        return group.paths

    def end_question(self, question: Question) -> OpenPath | None:
        """Note that a question has ended; return the path after its group, if it was the last."""
        group = self._groups[question.group]
        group.open_questions -= 1
        if group.open_questions:
            return None
        del self._groups[question.group]
        return group.join()

    def enter_all(self) -> list[int]:
        """Enter the nodes so far into the tree, and return the ends of the groups' paths."""
        ends = [group.enter()[0] for group in self._groups.values()]
        self._groups.clear()
        return ends


class _GroupRun:
    """A group on one path.

    :param path: the path that reached the group.
    :param action: the group.
    :param node: index of the group's node.
    :param graphs: its questions.
    :ivar path: the same.
    :ivar paths: the paths of the questions, before their first action.
    :ivar open_questions: how many questions have not ended.
    """

    def __init__(
        self, path: OpenPath, action: Ask, node: int, graphs: tuple[AutomatonGraph, ...]
    ) -> None:
        self.path = path
        self._node = node
        self._action = action
        # With one answer for an item, the item has its value; with several, a record of them.
        self._fresh_uids = {
            step.uid for question in action.questions for step in question if step.is_fresh
        }
        self._has_records = len(action.names) > 1
        contexts = {name: _without_nodes(context) for name, context in path.contexts.items()}
        per_item = len(action.first_questions)
        items = [(item,) for item in action.items or ()]
        self.paths: list[OpenPath] = []
        self._questions: list[Question] = []
        for index, graph in enumerate(graphs):
            keys = items[index // per_item] if items else None
            question = Question(path=path, group=node, keys=keys)
            self._questions.append(question)
            self.paths.append(
                OpenPath(
                    node=-1,
                    action=graph.entry,
                    contexts=contexts,
                    visits={},
                    graph=graph,
                    builder=question.builder,
                    templates=path.templates.for_question(graph),
                    fields=path.fields,
                    question=question,
                    conversation=path.conversation,
                )
            )

        self.open_questions = len(self._questions)

    def join(self) -> OpenPath:
        """Enter the nodes of all questions, and return the path after the group."""
        path, builder = self.path, self.path.builder
        end, nodes = self.enter()
        follower = path.graph.successor(self._action)
        pruned_by = self._pruned_by()
        if pruned_by is None and follower is not None and has_no_visits_left(path.visits, follower):
            pruned_by = "max_visits"
        if pruned_by is not None:
            builder.prune([end], pruned_by)
            follower = None
        path.context_node = None if end == self._node else self._node
        path.node, path.action = end, follower
        path.groups = (*path.groups, range(self._node, self._node + 1), nodes)
        path.logprob = builder.nodes[end].path_logprob
        chain = builder.chain(self._node, end)
        path.fields = path.templates.after_group(path.fields, self._action, chain)
        return path

    def enter(self) -> tuple[int, range]:
        """Enter the nodes so far into the tree; return the chain's last node, and all of them."""
        builder = self.path.builder
        start = len(builder.nodes)
        end = self._node
        for number, question in enumerate(self._questions):
            first = len(builder.nodes)
            base = builder.nodes[end]
            for index, node in enumerate(question.builder.nodes):
                placed = self._placed(node, index, question, first, end)
                builder.append(replace(placed, question=number), base)
            for parent, scores in question.builder.choice_scores.items():
                builder.choice_scores[first + parent if parent >= 0 else end] = scores
            if question.end >= 0:
                end = first + question.end
        return end, range(start, len(builder.nodes))

    def _pruned_by(self) -> Pruned | None:
        """Return why a question ended too early; None if none did."""
        reasons = (
            question.builder.nodes[question.end].pruned_by
            for question in self._questions
            if question.end >= 0
        )
        return next((reason for reason in reasons if reason is not None), None)

    def _placed(
        self, node: ThoughtNode, index: int, question: Question, first: int, end: int
    ) -> ThoughtNode:
        """Return a node of a question with its place in the tree of the path.

        :param index: its index in the question.
        :param first: index of the question's first node.
        :param end: index of the last node before the question.
        """
        # The next question follows the last node.
        if index == question.end:
            node = replace(node, pruned_by=None)
        if node.context_parent >= 0:
            context_parent = first + node.context_parent
        else:
            # A first node continues the group's context, unless it begins a new text.
            begins_text = node.uid in self._fresh_uids or index in question.builder.new_texts
            is_first = node.parent < 0 and not begins_text
            context_parent = self._node if is_first else -1
        parent = first + node.parent if node.parent >= 0 else end
        node = replace(
            node,
            parent=parent,
            context_parent=context_parent,
            tokens_parent=_placed_tokens_parent(node, first),
        )
        if question.keys is None or node.name is None:
            return node
        keys = (*question.keys, node.name) if self._has_records else question.keys
        return replace(node, name=self._action.name, keys=keys)


def _placed_tokens_parent(node: ThoughtNode, first: int) -> int:
    """Return the `tokens_parent` of a question's node in the tree of the path.

    :param node: the node in the question.
    :param first: index of the question's first node.
    """
    parent = node.tokens_parent
    if parent >= 0:
        return first + parent
    return parent if parent == -1 else _FIRST_OUTER_NODE - parent


def _without_nodes(context: PathContext) -> PathContext:
    """Return the context of a path for a question: the path's own texts get their tokens later."""
    texts = tuple(
        replace(text, node=-1, evaluate=False) for text in context.pending_texts if text.text
    )
    node = context.node if context.node < 0 else _FIRST_OUTER_NODE - context.node
    return replace(context, pending_texts=texts, node=node)
