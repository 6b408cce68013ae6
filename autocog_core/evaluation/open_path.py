"""A path of a run that is still open, and what changes when it enters an action."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from autocog_core.automaton.actions import Action, Ask, Messages, Text
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.evaluation.branch import ActionSteps, Branch, ModelRequest
from autocog_core.evaluation.conversation import Conversation
from autocog_core.evaluation.path_context import PathContext, PendingText
from autocog_core.evaluation.path_fields import FieldTemplates, PathFields
from autocog_core.evaluation.tree_builder import TreeBuilder
from autocog_core.types.prompt import TextPiece


@dataclass(kw_only=True, slots=True)
class Question:
    """A question of a group on a path.

    :ivar path: the path of the group, which goes on after all its questions.
    :ivar group: index of the group's node.
    :ivar keys: the keys of its answers in the field of a group with `for_each`; None without.
    :ivar builder: its nodes.
    :ivar end: index of its last node in `builder`; -1 for none.
    """

    path: OpenPath
    group: int
    keys: tuple[str, ...] | None
    builder: TreeBuilder = field(default_factory=TreeBuilder)
    end: int = -1


@dataclass(kw_only=True, slots=True)
class OpenPath:
    """A path that the run still has to continue.

    :ivar graph: the automaton, or the graph of the question that it belongs to.
    :ivar builder: its nodes.
    :ivar templates: the templates over fields of its graph.
    :ivar node: index of its last node in `builder`; -1 at the start.
    :ivar action: its next action; None at the end of the automaton.
    :ivar contexts: what each model has seen.
    :ivar visits: the visits so far of actions with `max_visits`, by uid.
    :ivar fields: the values of the fields that templates use.
    :ivar logprob: the sum of its log-probabilities.
    :ivar length: the number of its nodes, with one for the action at work.
    :ivar is_scoring_texts: whether `steps` gives tokens and scores to the texts before a new text;
        its action comes after.
    :ivar steps: its action at work; None before the start and after the end.
    :ivar requests: the requests that `steps` waits for.
    :ivar context_node: after a group, the node whose text the path continues; None for `node`.
    :ivar groups: the nodes of the groups since the last decided token.
    :ivar question: the question that it belongs to; None for a path of the automaton.
    :ivar conversation: the messages so far; None outside of a conversation.
    :ivar is_thinking: whether `steps` are the thoughts before its action.
    :ivar has_thought: whether the thoughts before its action have ended.
    """

    graph: AutomatonGraph
    builder: TreeBuilder
    templates: FieldTemplates
    node: int
    action: Action | None
    contexts: Mapping[str | None, PathContext]
    visits: Mapping[str, int]
    fields: PathFields = field(default_factory=dict)
    logprob: float = 0.0
    length: int = 0
    is_scoring_texts: bool = False
    steps: ActionSteps | None = None
    requests: Sequence[ModelRequest] = ()
    context_node: int | None = None
    groups: tuple[range, ...] = ()
    question: Question | None = None
    conversation: Conversation | None = None
    is_thinking: bool = False
    has_thought: bool = False

    @property
    def whole(self) -> OpenPath:
        """The path of the automaton that it belongs to: itself, or that of its group."""
        return self if self.question is None else self.question.path

    def add_to_answer(self, text: str) -> None:
        """Add text to the answer of the conversation, if there is one."""
        if self.conversation is not None and text:
            self.conversation = self.conversation.with_text(text)

    def enter_text_node(self, node: int) -> None:
        """Continue after the node of the action that needs no model, if visits are left."""
        assert self.action is not None
        self.node, self.context_node = node, None
        if self.question is not None:
            self.question.end = node
        self.visits = count_visit(self.visits, self.action)
        self.action = self.graph.successor(self.action)
        if self.action is not None and has_no_visits_left(self.visits, self.action):
            self.builder.prune([node], "max_visits")
            self.action = None

    def count_node(self) -> None:
        """Count one more node of the whole path."""
        self.whole.length += 1

    @property
    def model(self) -> str | None:
        """Name of the model that `steps` asks, or will ask.

        At the end of a text, it is the model whose texts have no tokens yet.
        """
        if self.action is not None and not self.is_scoring_texts:
            return self.action.model
        return next((name for name, context in self.contexts.items() if context.has_nodes), None)

    @property
    def has_untokenized_texts(self) -> bool:
        """Whether texts of its nodes have no tokens yet."""
        return any(context.has_nodes for context in self.contexts.values())

    @property
    def reader(self) -> str | None:
        """Name of the model that determines the tokens of the texts before its next action.

        A group leaves them as they are: the action after it counts. Texts that no action continues
        belong to the main model.
        """
        action, visits = self.action, self.visits
        while isinstance(action, Text | Messages | Ask) and not action.is_fresh:
            visits = count_visit(visits, action)
            action = self.graph.successor(action)
            if action is not None and has_no_visits_left(visits, action):
                return None
        return None if action is None or action.is_fresh else action.model


def contexts_after(
    contexts: Mapping[str | None, PathContext], model: str | None, branch: Branch, node: int
) -> dict[str | None, PathContext]:
    """Return the contexts after a branch: its tokens for its model, its text for the others.

    :param contexts: the contexts before it.
    :param model: its model.
    :param branch: the branch.
    :param node: index of its node.
    """
    text = PendingText((TextPiece(branch.text),))
    after = branch.context
    if branch.kept_tokens is not None:
        after = replace(after, node=node)
    return {
        name: after if name == model else context.with_texts(text)
        for name, context in contexts.items()
    }


def count_visit(visits: Mapping[str, int], action: Action) -> Mapping[str, int]:
    """Return the visits after one more visit of `action`, if these are limited."""
    if action.max_visits is None:
        return visits
    return {**visits, action.uid: visits.get(action.uid, 0) + 1}


def has_no_visits_left(visits: Mapping[str, int], action: Action) -> bool:
    """Return whether `action` had its `max_visits` on this path."""
    return action.max_visits is not None and visits.get(action.uid, 0) >= action.max_visits
