"""The decisions of a thought tree: where a model chose or wrote, without the texts between."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from autocog_core.types.thought_node import ThoughtNode


@dataclass(frozen=True, slots=True)
class Decision:
    """A place in a tree where a model decided: siblings, of which the run follows some.

    :ivar name: what the program calls it: the field, or the action's uid; with the keys of an item
        of a group, and the path of a part of a record.
    :ivar uid: the uid of its action.
    :ivar after: index of the alternative of the decision before it; -1 if it is the first.
    :ivar parent: index of the node before it; -1 if there is none.
    :ivar indices: indices of its alternatives, in the order of the tree.
    :ivar before: the texts between the decision before and this one.
    """

    name: str
    uid: str
    after: int
    parent: int
    indices: tuple[int, ...]
    before: str


class TreeDecisions:
    """The decisions of one tree.

    :param nodes: the nodes of the tree.
    :param children: the indices of each node's children; the last entry has the first nodes.
    :param best: indices of the nodes of the best path.
    """

    def __init__(
        self,
        nodes: Sequence[ThoughtNode],
        children: Sequence[Sequence[int]],
        best: Iterable[int],
    ) -> None:
        self.nodes = nodes
        self._children = children
        self._best = frozenset(best)

    def after(self, index: int) -> Decision | None:
        """Return the next decision below a node; None if the path ends without one.

        :param index: the node; -1 for the start.
        """
        start = index
        texts: list[str] = []
        while children := self._children[index]:
            first = self.nodes[children[0]]
            if _is_decided(first, len(children)):
                return Decision(
                    name=decision_name(first),
                    uid=first.uid,
                    after=start,
                    parent=index,
                    indices=tuple(children),
                    before="".join(texts),
                )
            # Texts, groups and ends of records have no alternatives.
            index = children[0]
            texts.append(self.nodes[index].text)
        return None

    def followed(self, decision: Decision) -> list[int]:
        """Return the alternatives that the run continued, that of the best path first."""
        indices = [index for index in decision.indices if self._children[index]]
        return sorted(indices, key=self._rank)

    def pick(self, decision: Decision) -> int:
        """Return the alternative that the best path takes, or else the likeliest one."""
        return min(decision.indices, key=self._rank)

    def is_on_best_path(self, decision: Decision) -> bool:
        """Return whether the best path takes one of the alternatives."""
        return not self._best.isdisjoint(decision.indices)

    def below(self, decision: Decision) -> Iterator[Decision]:
        """Yield the decisions after a decision's pick, after the pick of that, and so on."""
        below = self.after(self.pick(decision))
        while below is not None:
            yield below
            below = self.after(self.pick(below))

    def _rank(self, index: int) -> tuple[bool, bool, float]:
        node = self.nodes[index]
        return index not in self._best, node.pruned_by is not None, -_lowest_prob(node)


def decision_name(node: ThoughtNode) -> str:
    """Return what a program calls the decision that a node belongs to."""
    name = ".".join([node.name or node.uid, *(node.keys or ())])
    return f"{name}: {node.part}" if node.part else name


def _is_decided(node: ThoughtNode, siblings: int) -> bool:
    if node.kind is None:
        # Earlier versions did not save the kind. Only texts and decisions had nodes then.
        return siblings > 1 or bool(node.logprobs)
    return node.kind in ("choice", "beam", "sample")


def _lowest_prob(node: ThoughtNode) -> float:
    if node.prob is not None:
        return node.prob
    return 0.0 if node.prob_bounds is None else node.prob_bounds[0]
