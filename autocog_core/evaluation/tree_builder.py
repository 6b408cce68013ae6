"""The thought tree of a run while it grows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from autocog_core.automaton.actions import Action
from autocog_core.evaluation.branch import Branch
from autocog_core.evaluation.text_scoring import TextScores
from autocog_core.types.thought_tree import Pruned, ThoughtNode


class TreeBuilder:
    """A growing thought tree.

    :ivar nodes: the nodes so far, each after its parent.
    :ivar complete: the log-probabilities of the complete paths.
    """

    def __init__(self) -> None:
        self.nodes: list[ThoughtNode] = []
        self.complete: list[float] = []

    def add_text(self, parent: int, action: Action, text: str, logprob: float) -> int:
        """Add the node of a text, whose tokens are not known yet, and return its index.

        :param parent: index of the previous node; -1 at the start of a path.
        :param action: the Text action.
        :param text: its text.
        :param logprob: the log-probability of the path so far.
        """
        return self._add(
            ThoughtNode(
                uid=action.uid,
                text=text,
                path_logprob=logprob,
                length=self._length(parent),
                name=action.name,
                parent=parent,
                context_parent=-1 if action.is_fresh else parent,
            )
        )

    def set_model(self, indices: Iterable[int], model: str | None) -> None:
        """Set the model that will determine the tokens of texts; None is the main model."""
        if model is not None:
            for index in indices:
                self.nodes[index] = replace(self.nodes[index], model=model)

    def add_branch(self, parent: int, action: Action, branch: Branch, logprob: float) -> int:
        """Add the node of a choice or completion, and return its index.

        :param parent: index of the previous node; -1 at the start of a path.
        :param action: its action.
        :param branch: the branch.
        :param logprob: the log-probability of the path before it.
        """
        return self._add(
            ThoughtNode(
                uid=action.uid,
                text=branch.text,
                value=branch.text if branch.value is None else branch.value,
                tokens=branch.tokens,
                logprobs=branch.logprobs,
                path_logprob=logprob + branch.logprob,
                length=self._length(parent) + len(branch.logprobs),
                prob=branch.prob,
                pruned_by=branch.pruned_by,
                finish_reason=branch.finish_reason,
                exact=not branch.reason,
                reason=branch.reason,
                retokenized=branch.retokenized,
                name=action.name,
                model=action.model,
                parent=parent,
                context_parent=-1 if action.is_fresh else parent,
            )
        )

    def set_tokens(self, texts: TextScores, reason: str = "") -> float:
        """Set the tokens and scores of texts, and return the sum of their log-probabilities.

        :param texts: the texts of one path, in order.
        :param reason: why the scores are not exact, or missing; empty if they are exact.
        """
        added = 0.0
        count = 0
        for text, logprobs in texts:
            if text.node < 0:
                continue
            added += sum(logprobs)
            count += len(logprobs)
            node = self.nodes[text.node]
            node_reason = reason if text.evaluate and node.text else ""
            self.nodes[text.node] = replace(
                node,
                tokens=text.tokens,
                logprobs=logprobs,
                path_logprob=node.path_logprob + added,
                length=node.length + count,
                exact=not node_reason,
                reason=node_reason,
            )
        return added

    def mark_complete(self, index: int) -> None:
        """Mark a node as the end of a complete path, unless it was pruned."""
        node = self.nodes[index]
        if node.pruned_by is None:
            self.nodes[index] = replace(node, last=True)
            self.complete.append(node.path_logprob)

    def prune(self, indices: Iterable[int], reason: Pruned) -> None:
        """Mark nodes that no path continues, unless they are marked already."""
        for index in indices:
            if index >= 0 and self.nodes[index].pruned_by is None:
                self.nodes[index] = replace(self.nodes[index], pruned_by=reason)

    def _add(self, node: ThoughtNode) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1

    def _length(self, index: int) -> int:
        return self.nodes[index].length if index >= 0 else 0


def count_unique_tokens(nodes: list[ThoughtNode]) -> int:
    """Return the number of tokens in a tree; siblings share the tokens of a common prefix."""
    # A trie below each node: (position, token) -> next position. Below node i it starts at -2 - i.
    positions: dict[tuple[int, int], int] = {}
    for node in nodes:
        position = -2 - node.context_parent
        for token in node.tokens:
            position = positions.setdefault((position, token), len(positions))
    return len(positions)
