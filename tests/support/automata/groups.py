"""The slow twin of a group: each question as a program of its own after the same texts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from autocog_core import Ask, Automaton, Model, Text
from autocog_core.automaton import Action
from autocog_core.types.thought_tree import ThoughtNode, ThoughtTree

NEAR = 1e-6
#: What a node of a group has in common with the same node of a program without the group.
EQUAL = ("uid", "text", "value", "tokens", "finish_reason", "retokenized", "model", "exact")


def alone(automaton: Automaton, before: Sequence[Action], question: Sequence[Action]) -> Automaton:
    """Return a question as a program: the texts before the group, not scored, and the question."""
    start = [replace(text, evaluate=False) for text in before if isinstance(text, Text)]
    uids = [text.uid for text in start[1:]] + [question[0].uid]
    start = [replace(text, successors=(uid,)) for text, uid in zip(start, uids, strict=True)]
    return Automaton([*start, *question], automaton.vocabs)


def without_group(automaton: Automaton, group: Ask) -> Automaton:
    """Return the program without a group: what leads to it leads to the action after it."""
    actions = []
    for action in automaton.actions:
        if action is not group:
            uids = [
                after
                for uid in action.successors
                for after in (group.successors if uid == group.uid else (uid,))
            ]
            actions.append(replace(action, successors=tuple(uids)))
    return Automaton(actions, automaton.vocabs)


def followed(tree: ThoughtTree) -> list[ThoughtNode]:
    """Return the path of a tree in which a run follows one branch only."""
    path = []
    children = tree.children[-1]
    while children:
        live = [index for index in children if tree.nodes[index].pruned_by is None]
        live = live or [index for index in children if tree.nodes[index].pruned_by == "max_visits"]
        best = max(live, key=lambda index: (tree.nodes[index].last, tree.nodes[index].prob))
        path.append(tree.nodes[best])
        children = tree.children[best]
    return path


def compare_node(found: ThoughtNode, expected: ThoughtNode) -> None:
    for name in EQUAL:
        assert getattr(found, name) == getattr(expected, name), name
    assert len(found.logprobs) == len(expected.logprobs)
    assert all(map(near, found.logprobs, expected.logprobs))
    assert near(found.prob, expected.prob)


def near(one: float, other: float) -> bool:
    # Equal first: both may be -inf.
    return one == other or abs(one - other) < NEAR


def siblings(tree: ThoughtTree, node: ThoughtNode) -> list[ThoughtNode]:
    return [tree.nodes[index] for index in tree.children[node.parent]]


def compare_chain(
    tree: ThoughtTree,
    chain: Sequence[ThoughtNode],
    other: ThoughtTree,
    expected: Sequence[ThoughtNode],
) -> None:
    """Compare nodes of a path with those of another tree, with their siblings."""
    assert [node.uid for node in chain] == [node.uid for node in expected]
    for found, node in zip(chain, expected, strict=True):
        for one, twin in zip(siblings(tree, found), siblings(other, node), strict=True):
            compare_node(one, twin)
            assert (one is found) == (twin is node)
            assert one is found or one.pruned_by == twin.pruned_by


def check_group(
    automaton: Automaton, main: Model, tree: ThoughtTree, **options: Any
) -> Iterator[str]:
    """Compare the path of a tree with programs without the group, and yield what happens in it.

    The actions before the group are texts. The group is on the path once.

    :param options: of each run.
    """
    (group,) = (action for action in automaton.actions if isinstance(action, Ask))
    before = automaton.actions[: automaton.actions.index(group)]
    chain = followed(tree)
    indices = {id(node): index for index, node in enumerate(tree.nodes)}
    position = len(before)
    group_node = indices[id(chain[position])]
    assert chain[position].uid == group.uid
    assert not chain[position].tokens
    position += 1
    is_cut = False
    for question in group.questions:
        single = alone(automaton, before, question).run(main, **options)
        expected = followed(single)[len(before) :]
        found = chain[position : position + len(expected)]
        compare_chain(tree, found, single, expected)
        assert found[0].context_parent == group_node
        assert [node.context_parent for node in found[1:]] == [node.parent for node in found[1:]]
        position += len(expected)
        is_cut |= expected[-1].pruned_by is not None
    rest = chain[position:]
    check_sums(tree)
    if is_cut:
        assert not rest
        assert chain[-1].pruned_by == "max_visits"
        assert not tree.complete
        yield "a question that ends at max_visits"
        return
    if len(automaton.actions) > 1:
        plain = without_group(automaton, group).run(main, **options)
        compare_chain(tree, [*chain[: len(before)], *rest], plain, followed(plain))
        assert [path.end.uid for path in tree.complete] == [
            path.end.uid if rest else chain[-1].uid for path in plain.complete
        ]
    if rest:
        assert rest[0].context_parent == group_node
    yield "joined"
    yield "goes on" if rest else "ends"
    yield f"{len(group.questions)} questions"
    if any(node.logprobs for node in chain[: len(before)]):
        yield "a text before it is scored"


def check_sums(tree: ThoughtTree) -> None:
    """`path_logprob` and `length` of each node are the sums along its path."""
    for node in tree.nodes:
        total, length = 0.0, 0
        if node.parent >= 0:
            total, length = tree.nodes[node.parent].path_logprob, tree.nodes[node.parent].length
        assert length + len(node.logprobs) == node.length
        expected = total + node.logprob
        assert node.path_logprob == expected or math.isclose(
            node.path_logprob, expected, abs_tol=NEAR
        )
