"""The result tree while it is being made: nodes are entered, and corrected as texts are settled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from autocog_core.automaton.actions import Action
from autocog_core.evaluation.branch import Branch
from autocog_core.evaluation.text_scoring import TextScores
from autocog_core.types.thought_tree import Pruned, ThoughtNode


class TreeBuilder:
    """A tree's nodes, and the log-probabilities of the paths that are complete."""

    def __init__(self) -> None:
        self.nodes: list[ThoughtNode] = []
        self.complete: list[float] = []

    def add_text(
        self, parent: int, action: Action, text: str, logprob: float, model: str | None
    ) -> int:
        """Enter a text, of which no tokens are known as yet.

        :param model: whose tokens they will be.
        """
        return self._add(
            ThoughtNode(
                action.uid,
                text,
                path_logprob=logprob,
                length=self._length(parent),
                name=action.name,
                model=model,
                parent=parent,
            )
        )

    def add_branch(self, parent: int, action: Action, branch: Branch, logprob: float) -> int:
        """Enter a choice or a completion.

        :param logprob: of the path before it.
        """
        return self._add(
            ThoughtNode(
                action.uid,
                branch.text,
                branch.tokens,
                branch.logprobs,
                logprob + branch.logprob,
                self._length(parent) + len(branch.logprobs),
                branch.prob,
                branch.pruned,
                branch.finish,
                exact=not branch.reason,
                reason=branch.reason,
                retokenized=branch.retokenized,
                name=action.name,
                model=action.model,
                parent=parent,
            )
        )

    def settle(self, texts: TextScores, reason: str = "") -> float:
        """Give texts their tokens and scores; what that adds to the path's log-probability.

        :param why: why the scores are not exact, or missing.
        """
        added = 0.0
        count = 0
        for text, logprobs in texts:
            if text.node < 0:
                continue
            added += sum(logprobs)
            count += len(logprobs)
            node = self.nodes[text.node]
            doubt = reason if text.evaluate and node.text else ""
            self.nodes[text.node] = replace(
                node,
                tokens=text.tokens,
                logprobs=logprobs,
                path_logprob=node.path_logprob + added,
                length=node.length + count,
                exact=not doubt,
                reason=doubt,
            )
        return added

    def end(self, index: int) -> None:
        """The automaton ends at a node: its path is complete, if it was not pruned."""
        node = self.nodes[index]
        if node.pruned_by is None:
            self.nodes[index] = replace(node, last=True)
            self.complete.append(node.path_logprob)

    def prune(self, indices: Iterable[int], reason: Pruned) -> None:
        """No path goes on from these nodes."""
        for index in indices:
            if index >= 0 and self.nodes[index].pruned_by is None:
                self.nodes[index] = replace(self.nodes[index], pruned_by=reason)

    def _add(self, node: ThoughtNode) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1

    def _length(self, index: int) -> int:
        return self.nodes[index].length if index >= 0 else 0


def unique_tokens(nodes: list[ThoughtNode]) -> int:
    """How many tokens a tree has, those that siblings begin with alike counted once."""
    # A trie below each node: its places by (the place before, the token); a parent's own begins
    # at a place below 0.
    places: dict[tuple[int, int], int] = {}
    for node in nodes:
        place = -2 - node.parent
        for token in node.tokens:
            place = places.setdefault((place, token), len(places))
    return len(places)
