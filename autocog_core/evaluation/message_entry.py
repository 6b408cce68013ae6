"""Messages on a path: they enter the tree, and the contexts of the models that read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from autocog_core.automaton.actions import Action, Choose, Complete, Messages
from autocog_core.automaton.checks.chat_checks import TEXT_BEFORE_MESSAGES
from autocog_core.automaton.graph import AutomatonGraph, question_steps
from autocog_core.errors import AutocogError, InputError
from autocog_core.evaluation.conversation import Conversation, Turn, render_turn
from autocog_core.evaluation.open_path import OpenPath
from autocog_core.evaluation.path_context import PathContext
from autocog_core.evaluation.run_limits import RunLimits
from autocog_core.evaluation.text_tokens import TokenizedText
from autocog_core.evaluation.token_place import TokenPlace
from autocog_core.hooks.client import BackendClient


class MessageEntry:
    """Enters messages on the paths of one run.

    :param clients: the clients of its models by name; None names the main model.
    :param empty_contexts: what each model has seen of a path at its start.
    """

    def __init__(
        self,
        clients: Mapping[str | None, BackendClient],
        empty_contexts: Mapping[str | None, PathContext],
    ) -> None:
        self._clients = clients
        self._empty_contexts = empty_contexts
        self._readers: dict[str, frozenset[str | None]] = {}

    def enter(self, path: OpenPath, action: Messages, limits: RunLimits) -> bool:
        """Add messages to the tree, and to the contexts of the models that read them.

        :param path: the path.
        :param action: its next action.
        :param limits: the limits of the run; if one is reached, the path is pruned.
        :returns: False if the texts before must get their tokens first, because the conversation
            begins again without them. Then nothing has changed.
        :raises CapabilityError: if a model that reads them has no chat template.
        """
        if limits.is_reached(path):
            path.builder.prune([path.node], "budget")
            return True
        filled = path.templates.fill(action, path.fields)
        assert isinstance(filled, Messages)
        before = path.conversation
        if before is None and not all(context.is_empty for context in path.contexts.values()):
            raise InputError(TEXT_BEFORE_MESSAGES, where=f'action "{action.uid}"')
        conversation = (before or Conversation()).with_messages(filled)
        reader = path.reader
        turns = self._render(path, action, conversation, reader)
        turn = turns[reader]
        begins_again = bool(turn.reason) or turn.is_rendered_by_server
        if before is not None and begins_again and path.has_untokenized_texts:
            return False
        self._enter_node(path, filled, turn, reader)
        path.contexts = {
            name: turns[name].context_with(path.node if name == reader else -1)
            if name in turns
            else self._empty_contexts[name]
            for name in path.contexts
        }
        rendered = {name: turn.rendered for name, turn in turns.items()}
        path.conversation = replace(conversation, rendered=rendered)
        return True

    def _render(
        self, path: OpenPath, action: Messages, conversation: Conversation, reader: str | None
    ) -> dict[str | None, Turn]:
        readers = self._readers.get(action.uid)
        if readers is None:
            readers = self._readers[action.uid] = _find_readers(path.graph, action)
        turns = {}
        for name in readers | {reader}:
            context = path.contexts[name]
            try:
                turns[name] = render_turn(
                    self._clients[name], conversation, path.conversation, context, name
                )
            except AutocogError as error:
                where = f'action "{action.uid}"'
                error.where = f"{where}: {error.where}" if error.where else where
                raise
        return turns

    def _enter_node(self, path: OpenPath, action: Messages, turn: Turn, reader: str | None) -> None:
        builder = path.builder
        path.count_node()
        node = builder.add_text(path.node, action, turn.shown, path.logprob, path.context_node)
        builder.set_model([node], reader)
        if turn.reason:
            builder.begin_text(node, turn.reason)
        if turn.tokens:
            start = len(turn.context.ids) - len(turn.tokens)
            text = TokenizedText(node=node, tokens=turn.tokens, start=start, evaluate=False)
            before = -1 if turn.reason else path.contexts[reader].node
            place = TokenPlace(turn.context.ids, before, 0 if before == -1 else start)
            builder.set_tokens(((text, ()),), place)
        path.enter_text_node(node)


def _find_readers(graph: AutomatonGraph, action: Messages) -> frozenset[str | None]:
    """Return the models that may read the messages of an action: up to the next new texts."""
    readers: set[str | None] = set()
    waiting: list[Action] = [action]
    seen = {action.uid}
    while waiting:
        current = waiting.pop()
        steps = [step for step in question_steps(current) if not step.is_fresh]
        readers |= {each.model for each in (current, *steps) if isinstance(each, Choose | Complete)}
        followers = [graph.by_uid[uid] for uid in current.successors]
        new = [each for each in followers if not each.is_fresh and each.uid not in seen]
        seen |= {each.uid for each in new}
        waiting += new
    return frozenset(readers)
