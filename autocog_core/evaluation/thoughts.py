"""Thoughts on the paths of a run: they start before an action, and enter the tree after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from autocog_core.automaton.actions import Action, Choose, Complete, Text
from autocog_core.errors import CapabilityError
from autocog_core.evaluation.branch import Branch
from autocog_core.evaluation.open_path import OpenPath, contexts_after
from autocog_core.evaluation.path_context import PendingText
from autocog_core.evaluation.text_strategy import Strategy
from autocog_core.evaluation.thinking import (
    ThinkingEnd,
    find_thinking_end,
    text_after_thoughts,
    think,
)
from autocog_core.evaluation.token_place import TokenPlace
from autocog_core.hooks.client import BackendClient
from autocog_core.types.prompt import TextPiece, join_text


class Thoughts:
    """Lets models think on the paths of one run.

    :param clients: the clients of its models by name; None names the main model.
    :param strategies: the strategy for each model.
    """

    def __init__(
        self,
        clients: Mapping[str | None, BackendClient],
        strategies: Mapping[str | None, Strategy],
    ) -> None:
        self._clients = clients
        self._strategies = strategies
        self._ends: dict[str, ThinkingEnd] = {}

    def start(self, path: OpenPath, action: Action) -> bool:
        """Give a path the steps of the thoughts before its action; return False if it has none.

        :raises CapabilityError: for a model without token distributions, or without a known end of
            its thoughts.
        """
        if not isinstance(action, Choose | Complete) or action.thinking is None:
            return False
        if self._strategies[action.model] == "text":
            raise CapabilityError(
                "its thinking needs a backend with token distributions",
                where=f'action "{action.uid}"',
                hint='take a model for the strategy "token_tree", or leave thinking out',
            )
        client = self._clients[action.model]
        if action.uid not in self._ends:
            self._ends[action.uid] = find_thinking_end(client, action.thinking, action.uid)
        end = self._ends[action.uid]
        path.is_thinking = True
        path.steps = think(client, action.thinking, end, path.contexts[action.model], action.uid)
        return True

    def finish(self, path: OpenPath, thoughts: Branch, place: TokenPlace) -> None:
        """Enter thoughts into the tree, and what stands between them and the path's action."""
        action, builder = path.action, path.builder
        assert isinstance(action, Choose | Complete)
        assert action.thinking is not None
        end = self._ends[action.uid]
        path.is_thinking, path.has_thought = False, True
        thoughts = replace(thoughts, value=thoughts.text.removesuffix(end.text))
        own = Complete(
            uid=f"{action.uid}.thinking",
            length=action.thinking.length,
            context=action.context,
            model=action.model,
        )
        node = builder.add_branch(path.node, own, thoughts, place, path.logprob, path.context_node)
        path.logprob = builder.nodes[node].path_logprob
        path.contexts = contexts_after(path.contexts, action.model, thoughts, node)
        text = text_after_thoughts(action.thinking, end, thoughts.finish_reason)
        if text is not None:
            path.count_node()
            own_text = Text(uid=f"{own.uid}.end", text=text, model=action.model)
            node = builder.add_text(node, own_text, join_text(text.pieces), path.logprob)
            builder.set_model([node], action.model)
            pieces = tuple(piece for piece in text.pieces if isinstance(piece, TextPiece))
            path.contexts = {
                name: context.with_texts(
                    PendingText(pieces, node if name == action.model else -1, constant_tail=None)
                )
                for name, context in path.contexts.items()
            }
        path.node, path.context_node, path.groups = node, None, ()
        if path.question is not None:
            path.question.end = node
        if path.conversation is not None:
            path.conversation = replace(path.conversation, has_thoughts=True)
