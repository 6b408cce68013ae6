"""The log-probabilities of a tree's nodes, from plain forwards over their context tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from autocog_core import EOS, Choose, InputError, Model
from autocog_core.automaton import AutomatonGraph
from autocog_core.numerics import logsumexp
from autocog_core.types.thought_tree import ThoughtTree

NEAR = 1e-4


def check_contexts(
    automaton: AutomatonGraph,
    models: Mapping[str | None, Model],
    tree: ThoughtTree,
    near: float = NEAR,
) -> Iterator[str]:
    """Compare each node of a tree, and of its saved twin; yield what the contexts had."""
    actions = {action.uid: action for action in automaton.all_actions}
    saved = ThoughtTree.from_dict(tree.to_dict())
    for index, node in enumerate(tree.nodes):
        if not node.exact:
            with pytest.raises(InputError, match="not known"):
                tree.context_tokens(index)
            continue
        context = tree.context_tokens(node)
        assert saved.context_tokens(index) == context
        if not node.logprobs:
            continue
        model = models[node.model]
        client = model.client
        action = actions[node.uid]
        expected = []
        for position, token in enumerate(node.tokens):
            row = client.greedy((*context, *node.tokens[:position]))
            is_end = isinstance(action, Choose) and action.suffix is EOS
            if is_end and position == len(node.tokens) - 1:
                expected.append(logsumexp([float(row[end]) for end in client.info.eos]))
            else:
                expected.append(float(row[token]))
        assert node.logprobs == pytest.approx(expected, abs=near), (index, node)
        yield f"context of a {node.kind}"
        if node.tokens_before and node.parent >= 0:
            yield "ids of no node"
        if node.tokens_parent != node.context_parent:
            yield "another model or group between"
        if node.kept_tokens is not None:
            yield "tokens that do not stay"
