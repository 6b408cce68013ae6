"""The thought tree of a run while it grows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from autocog_core.automaton.actions import Action, Ask, Choose
from autocog_core.evaluation.branch import Branch
from autocog_core.evaluation.text_scoring import TextScores
from autocog_core.evaluation.token_place import TokenPlace
from autocog_core.types.choice import ChoiceRequest, ChoiceScores
from autocog_core.types.thought_node import NodeKind, Pruned, ThoughtNode


class TreeBuilder:
    """A growing thought tree.

    :ivar nodes: the nodes so far, each after its parent.
    :ivar complete: the log-probabilities of the complete paths.
    :ivar new_texts: the nodes of messages that begin a new text.
    :ivar choice_scores: see `ThoughtTree`.
    """

    def __init__(self) -> None:
        self.nodes: list[ThoughtNode] = []
        self.complete: list[float] = []
        self.new_texts: set[int] = set()
        self.choice_scores: dict[int, tuple[ChoiceRequest, ChoiceScores]] = {}

    def add_text(
        self,
        parent: int,
        action: Action,
        text: str,
        logprob: float,
        context_parent: int | None = None,
    ) -> int:
        """Add the node of a text, whose tokens are not known yet, and return its index.

        :param parent: index of the previous node; -1 at the start of a path.
        :param action: the Text action.
        :param text: its text.
        :param logprob: the log-probability of the path so far.
        :param context_parent: index of the node whose text it continues; None for `parent`.
        """
        return self._add(
            ThoughtNode(
                uid=action.uid,
                text=text,
                path_logprob=logprob,
                length=self._length(parent),
                name=action.name,
                kind="text",
                parent=parent,
                context_parent=_context_parent(action, parent, context_parent),
            )
        )

    def begin_text(self, index: int, reason: str) -> None:
        """Note that a node begins a new text, with the whole conversation.

        :param index: the node.
        :param reason: why the text so far does not go on.
        """
        self.new_texts.add(index)
        self.nodes[index] = replace(
            self.nodes[index], retokenized=True, reason=reason, context_parent=-1
        )

    def add_group(
        self, parent: int, action: Ask, logprob: float, context_parent: int | None = None
    ) -> int:
        """Add the node of a group, which has no text, and return its index.

        :param parent: index of the previous node; -1 at the start of a path.
        :param action: the group.
        :param logprob: the log-probability of the path so far.
        :param context_parent: index of the node whose text it continues; None for `parent`.
        """
        node = self.add_text(parent, action, "", logprob, context_parent)
        has_items = action.for_each is not None and action.name is not None
        keys = () if has_items else None
        self.nodes[node] = replace(self.nodes[node], kind="group", keys=keys)
        return node

    def append(self, node: ThoughtNode, base: ThoughtNode) -> int:
        """Add a node whose sums begin after `base`, and return its index.

        :param node: the node, with its place in this tree.
        :param base: the node after which its `path_logprob` and `length` count.
        """
        return self._add(
            replace(
                node,
                path_logprob=base.path_logprob + node.path_logprob,
                length=base.length + node.length,
            )
        )

    def set_model(self, indices: Iterable[int], model: str | None) -> None:
        """Set the model that will determine the tokens of texts; None is the main model."""
        if model is not None:
            for index in indices:
                self.nodes[index] = replace(self.nodes[index], model=model)

    def add_branch(
        self,
        parent: int,
        action: Action,
        branch: Branch,
        place: TokenPlace,
        logprob: float,
        context_parent: int | None = None,
    ) -> int:
        """Add the node of a choice or completion, and return its index.

        :param parent: index of the previous node; -1 at the start of a path.
        :param action: its action.
        :param branch: the branch.
        :param place: the place of its tokens, behind those of the texts before it.
        :param logprob: the log-probability of the path before it.
        :param context_parent: index of the node whose text it continues; None for `parent`.
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
                prob_bounds=branch.prob_bounds,
                pruned_by=branch.pruned_by,
                finish_reason=branch.finish_reason,
                exact=not branch.reason,
                reason=branch.reason,
                retokenized=branch.retokenized,
                unconditional_prompt=branch.unconditional_prompt,
                allowed=branch.allowed,
                prob_error=branch.prob_error,
                name=action.name,
                model=action.model,
                parent=parent,
                context_parent=_context_parent(action, parent, context_parent),
                kind=_kind(action, branch),
                kept_tokens=_kept_tokens(branch),
                tokens_before=place.tokens_before(),
                tokens_parent=place.node,
            )
        )

    def set_tokens(
        self,
        texts: TextScores,
        place: TokenPlace,
        reason: str = "",
        groups: Sequence[range] = (),
    ) -> float:
        """Set the tokens and scores of texts, and return the sum of their log-probabilities.

        :param texts: the texts of one path, in order.
        :param place: the place of the first tokens; it moves behind those of the last text.
        :param reason: why the scores are not exact, or missing; empty if they are exact.
        :param groups: the nodes of groups between these texts: their sums include texts before.
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
                exact=node.exact and not node_reason,
                reason=node_reason or node.reason,
                tokens_before=place.tokens_before(text.start),
                tokens_parent=place.node,
            )
            place.move(text.node, text.start + len(text.tokens))
        for group in groups:
            before = [scores for text, scores in texts if 0 <= text.node < group.start]
            self._add_to_sums(group, sum(map(sum, before)), sum(map(len, before)))
        return added

    def _add_to_sums(self, indices: Iterable[int], logprob: float, length: int) -> None:
        for index in indices if length else ():
            node = self.nodes[index]
            self.nodes[index] = replace(
                node, path_logprob=node.path_logprob + logprob, length=node.length + length
            )

    def chain(self, start: int, end: int) -> list[ThoughtNode]:
        """Return the nodes of a path from `start` to `end`, both included."""
        nodes = []
        while end >= start:
            nodes.append(self.nodes[end])
            end = self.nodes[end].parent
        return nodes[::-1]

    def indices(self, end: int) -> list[int]:
        """Return the indices of the nodes of a path, first to last.

        :param end: the index of its last node.
        """
        indices = []
        while end >= 0:
            indices.append(end)
            end = self.nodes[end].parent
        return indices[::-1]

    def siblings(self, index: int) -> Iterator[int]:
        """Yield a node's index and those of the other branches of its action."""
        node = self.nodes[index]
        for step in (-1, 1):
            other = index if step > 0 else index - 1
            while 0 <= other < len(self.nodes):
                # The branches of an action are added together.
                if (self.nodes[other].parent, self.nodes[other].uid) != (node.parent, node.uid):
                    break
                yield other
                other += step

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


def _context_parent(action: Action, parent: int, context_parent: int | None) -> int:
    """Return the node whose text an action continues; -1 for a new text."""
    if action.is_fresh:
        return -1
    return parent if context_parent is None else context_parent


def _kind(action: Action, branch: Branch) -> NodeKind:
    if isinstance(action, Choose):
        return "choice"
    return "sample" if branch.is_sample else "beam"


def _kept_tokens(branch: Branch) -> int | None:
    """Return how many tokens stay; None if all of them do."""
    return None if branch.kept_tokens == len(branch.tokens) else branch.kept_tokens


def count_unique_tokens(nodes: list[ThoughtNode]) -> int:
    """Return the number of tokens in a tree; those that continue a node share a common prefix."""
    # A trie below each node: (position, token) -> next position. Below node i it starts at -2 - i.
    positions: dict[tuple[int, int], int] = {}
    for node in nodes:
        position = -2 - node.context_parent
        for token in node.tokens:
            position = positions.setdefault((position, token), len(positions))
    return len(positions)
