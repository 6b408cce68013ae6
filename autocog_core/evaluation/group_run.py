"""A group on one path: its questions advance side by side, each with nodes of its own.

A question knows nothing of the others, so its nodes are numbered from 0 and its sums begin at 0.
When all questions have ended, their nodes enter the tree one question after the other: so a path
stays a chain of nodes.
"""

from __future__ import annotations

from dataclasses import replace

from autocog_core.automaton.actions import Ask
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.evaluation.open_path import OpenPath, Question
from autocog_core.evaluation.path_context import PathContext, PendingText
from autocog_core.evaluation.tree_builder import TreeBuilder
from autocog_core.types.thought_tree import Pruned, ThoughtNode


class GroupRun:
    """A group on one path.

    :param path: the path that reached the group.
    :param action: the group.
    :param node: index of the group's node.
    :param graphs: its questions.
    :ivar path: the same.
    :ivar node: the same.
    :ivar paths: the paths of the questions, before their first action.
    :ivar open_questions: how many questions have not ended.
    """

    def __init__(
        self, path: OpenPath, action: Ask, node: int, graphs: tuple[AutomatonGraph, ...]
    ) -> None:
        self.path = path
        self.node = node
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
            question = Question(group=node, keys=keys)
            self._questions.append(question)
            self.paths.append(
                OpenPath(
                    node=-1,
                    action=graph.entry,
                    contexts=contexts,
                    visits={},
                    length=path.length + 1,
                    graph=graph,
                    builder=question.builder,
                    templates=path.templates.for_question(graph),
                    fields=path.fields,
                    question=question,
                )
            )

        self.open_questions = len(self._questions)

    @property
    def pruned_by(self) -> Pruned | None:
        """Why a question ended too early; None if none did."""
        reasons = (
            question.builder.nodes[question.end].pruned_by
            for question in self._questions
            if question.end >= 0
        )
        return next((reason for reason in reasons if reason is not None), None)

    def enter(self, builder: TreeBuilder) -> tuple[int, range]:
        """Enter the nodes so far into the tree; return the chain's last node, and all of them.

        :param builder: the tree of the path.
        """
        start = len(builder.nodes)
        end = self.node
        for question in self._questions:
            first = len(builder.nodes)
            base = builder.nodes[end]
            for index, node in enumerate(question.builder.nodes):
                builder.append(
                    self._placed(node, question, first, end, index == question.end), base
                )
            if question.end >= 0:
                end = first + question.end
        return end, range(start, len(builder.nodes))

    def _placed(
        self, node: ThoughtNode, question: Question, first: int, end: int, is_end: bool
    ) -> ThoughtNode:
        """Return a node of a question with its place in the tree of the path.

        :param first: index of the question's first node.
        :param end: index of the last node before the question.
        :param is_end: whether it is the question's last node, which the next question follows.
        """
        if is_end:
            node = replace(node, pruned_by=None)
        if node.context_parent >= 0:
            context_parent = first + node.context_parent
        else:
            # A first node continues the group's context, unless it begins a new text.
            is_first = node.parent < 0 and node.uid not in self._fresh_uids
            context_parent = self.node if is_first else -1
        parent = first + node.parent if node.parent >= 0 else end
        node = replace(node, parent=parent, context_parent=context_parent)
        if question.keys is None or node.name is None:
            return node
        keys = (*question.keys, node.name) if self._has_records else question.keys
        return replace(node, name=self._action.name, keys=keys)


def _without_nodes(context: PathContext) -> PathContext:
    """Return the context of a path for a question: the path's own texts get their tokens later."""
    texts = tuple(PendingText(text.pieces) for text in context.pending_texts if text.text)
    return replace(context, pending_texts=texts)
