"""Aligns the decisions of two thought trees, of one program or of two versions of it."""

from __future__ import annotations

from itertools import islice

from autocog_core.errors import shorten
from autocog_core.types.shared_divergence import shared_divergences
from autocog_core.types.thought_node import ThoughtNode
from autocog_core.types.tree_decisions import Decision, TreeDecisions
from autocog_core.types.tree_diff import AlternativeDiff, DecisionDiff, Side, TreeDiff, Unaligned

#: How many decisions a version of a program may have that the other version lacks, in a row.
_MAX_SKIPPED = 100
#: An alternative in both trees from which both go on; the number of decisions so far, and whether
#: all texts so far are equal.
_Open = tuple[int, int, int, bool]
_Pairs = list[tuple[int | None, int | None]]


def diff_trees(first: TreeDecisions, second: TreeDecisions, tolerance: float) -> TreeDiff:
    """Return the decisions of two trees side by side; see `ThoughtTree.diff`."""
    alignment = _Alignment(first, second)
    alignment.run()
    decisions = sorted(alignment.decisions, key=lambda each: (each.depth, each.first_parent))
    return TreeDiff(
        decisions=tuple(decisions), unaligned=tuple(alignment.unaligned), tolerance=tolerance
    )


class _Alignment:
    """Walks down both trees together."""

    def __init__(self, first: TreeDecisions, second: TreeDecisions) -> None:
        self.first, self.second = first, second
        self.decisions: list[DecisionDiff] = []
        self.unaligned: list[Unaligned] = []
        # Without recursion, for paths may be long.
        self._open: list[_Open] = [(-1, -1, 0, True)]

    def run(self) -> None:
        while self._open:
            first_index, second_index, depth, is_same = self._open.pop()
            first, second = self.first.after(first_index), self.second.after(second_index)
            if first is not None and second is not None:
                pair = self._next_pair(first, second)
                if pair is not None:
                    is_same = is_same and pair == (first, second)
                    self._enter(*pair, depth, is_same and pair[0].before == pair[1].before)
            elif first is not None:
                self._leave("first", first, "the second tree ends before it")
            elif second is not None:
                self._leave("second", second, "the first tree ends before it")

    def _next_pair(self, first: Decision, second: Decision) -> tuple[Decision, Decision] | None:
        """Return the next decisions of one name; what lies before is only in one tree."""
        if _is_same(first, second):
            return first, second
        in_first = _find(self.first, first, second)
        in_second = _find(self.second, second, first)
        if in_second and (not in_first or len(in_second) <= len(in_first)):
            for decision in (second, *in_second[:-1]):
                self._leave("second", decision, "the first tree has no such decision there")
            return first, in_second[-1]
        if in_first:
            for decision in (first, *in_first[:-1]):
                self._leave("first", decision, "the second tree has no such decision there")
            return in_first[-1], second
        self._leave("first", first, f'the second tree has "{second.name}" there')
        self._leave("second", second, f'the first tree has "{first.name}" there')
        return None

    def _leave(self, side: Side, decision: Decision, reason: str) -> None:
        self.unaligned.append(
            Unaligned(tree=side, name=decision.name, parent=decision.parent, reason=reason)
        )

    def _enter(self, first: Decision, second: Decision, depth: int, is_same: bool) -> None:
        pairs = _pair_alternatives(
            [(index, self.first.nodes[index]) for index in first.indices],
            [(index, self.second.nodes[index]) for index in second.indices],
        )
        self.decisions.append(self._compare(first, second, pairs, depth, is_same))
        self._follow(first, second, pairs, depth, is_same)

    def _compare(
        self,
        first: Decision,
        second: Decision,
        pairs: _Pairs,
        depth: int,
        is_same: bool,
    ) -> DecisionDiff:
        picks = self.first.pick(first), self.second.pick(second)
        alternatives = tuple(
            AlternativeDiff(
                text=(self.first.nodes[a] if a is not None else self.second.nodes[b or 0]).text,
                first=None if a is None else self.first.nodes[a].prob,
                second=None if b is None else self.second.nodes[b].prob,
                first_index=a,
                second_index=b,
                is_first_pick=a == picks[0],
                is_second_pick=b == picks[1],
            )
            for a, b in pairs
        )
        forward, backward, reason = shared_divergences(
            [(each.first, each.second) for each in alternatives if each.is_shared],
            is_complete=all(each.is_shared for each in alternatives),
        )
        nodes = [self.first.nodes[index] for index in first.indices]
        nodes += [self.second.nodes[index] for index in second.indices]
        return DecisionDiff(
            name=first.name,
            after=None if first.after < 0 else self.first.nodes[first.after].text,
            depth=depth,
            first_parent=first.parent,
            second_parent=second.parent,
            alternatives=alternatives,
            is_same_context=is_same,
            is_on_best_paths=self.first.is_on_best_path(first)
            and self.second.is_on_best_path(second),
            divergence=forward,
            reverse_divergence=backward,
            divergence_note=reason,
            inexact=_inexact(nodes),
        )

    def _follow(
        self,
        first: Decision,
        second: Decision,
        pairs: _Pairs,
        depth: int,
        is_same: bool,
    ) -> None:
        """Open what both trees follow; the picks of both, if they follow nothing in common."""
        followed = self.first.followed(first), self.second.followed(second)
        known = set(followed[0]), set(followed[1])
        both = [
            (a, b)
            for a, b in pairs
            if a is not None and b is not None and a in known[0] and b in known[1]
        ]
        if not both and followed[0] and followed[1]:
            both = [(followed[0][0], followed[1][0])]
        for a, b in reversed(both):
            is_equal = self.first.nodes[a].text == self.second.nodes[b].text
            self._open.append((a, b, depth + 1, is_same and is_equal))
        taken = {a for a, _ in both}, {b for _, b in both}
        self._leave_followed("first", self.first, followed[0], taken[0])
        self._leave_followed("second", self.second, followed[1], taken[1])

    def _leave_followed(
        self, side: Side, tree: TreeDecisions, followed: list[int], taken: set[int]
    ) -> None:
        other = "second" if side == "first" else "first"
        for index in followed:
            after = None if index in taken else tree.after(index)
            if after is not None:
                text = shorten(tree.nodes[index].text)
                self._leave(side, after, f"the {other} tree does not follow {text!r}")


def _is_same(first: Decision, second: Decision) -> bool:
    """Return whether two decisions are one of the program: by their names, or by their uids."""
    return first.name == second.name or first.uid == second.uid


def _find(tree: TreeDecisions, start: Decision, wanted: Decision) -> list[Decision]:
    """Return the decisions below another one, down to one like `wanted`; empty without such."""
    passed: list[Decision] = []
    for decision in islice(tree.below(start), _MAX_SKIPPED):
        passed.append(decision)
        if _is_same(decision, wanted):
            return passed
    return []


def _pair_alternatives(
    first: list[tuple[int, ThoughtNode]], second: list[tuple[int, ThoughtNode]]
) -> _Pairs:
    """Pair alternatives with equal texts, and of the others those with equal values.

    In the order of the first tree, then those of the second tree alone.
    """
    partner: dict[int, int] = {}
    left = dict(second)
    for key in (_text_key, _value_key):
        by_key: dict[str, list[int]] = {}
        for index, node in left.items():
            by_key.setdefault(key(node), []).append(index)
        for index, node in first:
            found = by_key.get(key(node)) if index not in partner else None
            if found:
                partner[index] = found.pop(0)
                del left[partner[index]]
    pairs: _Pairs = [(index, partner.get(index)) for index, _ in first]
    return [*pairs, *((None, index) for index in left)]


def _text_key(node: ThoughtNode) -> str:
    return node.text


def _value_key(node: ThoughtNode) -> str:
    return f"{type(node.value).__name__} {node.value!r}"


def _inexact(nodes: list[ThoughtNode]) -> str:
    """Return why the probabilities are not exact; empty if they are."""
    if any(node.kind == "sample" for node in nodes):
        return "frequencies of samples"
    return next((node.reason or "not exact" for node in nodes if not node.exact), "")
