"""Differences of two thought trees, compared with a plain walk over both."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from autocog_core import (
    Ask,
    Automaton,
    Choose,
    Complete,
    InputError,
    Model,
    Text,
    ThoughtNode,
    ThoughtTree,
)
from autocog_core.backends.random import RandomLM
from autocog_core.types.tree_diff import DecisionDiff

ANSWERS = (" yes", " no", " maybe")


@pytest.fixture(scope="module")
def models() -> tuple[Model, Model]:
    return Model(RandomLM(seed=3)), Model(RandomLM(seed=4))


def program(*, is_extended: bool = False, question: str = "Is it?", **options: Any) -> Automaton:
    """Two choices, with another one between them in a later version."""
    extra = [
        Choose(uid="mood", name="mood", choices=(" a", " b"), successors="answer"),
    ]
    return Automaton(
        [
            Text(uid="question", text=question, successors="topic"),
            Choose(
                uid="topic",
                name="topic",
                choices=(" sun", " rain"),
                successors="mood" if is_extended else "so",
                **options,
            ),
            *(extra if is_extended else [Text(uid="so", text=" So:", successors="answer")]),
            Choose(uid="answer", name="answer", choices=ANSWERS, width=None),
        ]
    )


def kl(first: list[float], second: list[float]) -> float:
    return math.fsum(a * math.log(a / b) for a, b in zip(first, second, strict=True) if a)


def plain_walk(first: ThoughtTree, second: ThoughtTree) -> dict[tuple[str, ...], Any]:
    """Return the shares of both trees by the texts that lead there; both follow all choices."""
    found: dict[tuple[str, ...], Any] = {}

    def follow(a: int, b: int, path: tuple[str, ...]) -> None:
        pairs = list(zip(first.children[a], second.children[b], strict=True))
        if len(pairs) > 1:
            found[path] = [
                [first.nodes[one].prob for one, _ in pairs],
                [second.nodes[two].prob for _, two in pairs],
            ]
        for one, two in pairs:
            step = (first.nodes[one].text,) if len(pairs) > 1 else ()
            follow(one, two, (*path, *step))

    follow(-1, -1, ())
    return found


def path_of(tree: ThoughtTree, decision: DecisionDiff) -> tuple[str, ...]:
    texts = []
    index = decision.first_parent
    while index >= 0:
        node = tree.nodes[index]
        texts += [node.text] if node.kind == "choice" else []
        index = node.parent
    return tuple(reversed(texts))


def test_each_decision_has_the_numbers_of_both_trees(models: tuple[Model, Model]) -> None:
    trees = [program(width=None).run(model) for model in models]
    diff = trees[0].diff(trees[1])
    expected = plain_walk(*trees)
    assert not diff.unaligned
    assert {path_of(trees[0], each) for each in diff.decisions} == set(expected)
    assert [each.depth for each in diff.decisions] == [0, 1, 1]
    for each in diff.decisions:
        first, second = expected[path_of(trees[0], each)]
        assert [alternative.first for alternative in each.alternatives] == first
        assert [alternative.second for alternative in each.alternatives] == second
        assert each.divergence == pytest.approx(kl(first, second), rel=1e-9)
        assert each.reverse_divergence == pytest.approx(kl(second, first), rel=1e-9)
        assert each.is_same_context
        assert each.divergence_note == each.inexact == ""
        picked = [
            next(a.text for a in each.alternatives if getattr(a, f"is_{side}_pick"))
            for side in ("first", "second")
        ]
        assert each.is_same_pick == (picked[0] == picked[1])
        if each.is_on_best_paths:
            best = [tree.best().nodes for tree in trees]
            names = [next(n.text for n in nodes if n.name == each.name) for nodes in best]
            assert picked == names
    assert diff.first is diff.decisions[0]
    tops = [tree.best() for tree in trees]
    assert (diff.parting is None) == (tops[0].text == tops[1].text)
    assert trees[1].diff(trees[0]).decisions[0].divergence == diff.decisions[0].reverse_divergence


def test_a_tree_equals_itself_and_what_was_saved(models: tuple[Model, Model]) -> None:
    tree = program(width=None).run(models[0])
    again = ThoughtTree.from_dict(json.loads(json.dumps(tree.to_dict())))
    diff = tree.diff(again)
    assert diff.is_equal
    assert diff.first is diff.parting is None
    assert all(each.divergence == each.reverse_divergence == 0 for each in diff.decisions)
    assert str(diff) == "3 decisions in both trees, 0 differ"
    with pytest.raises(InputError, match="tolerance"):
        tree.diff(tree, tolerance=-1.0)
    assert ThoughtTree(nodes=()).diff(ThoughtTree(nodes=())).is_equal


def test_a_decision_of_one_version_is_passed_over(models: tuple[Model, Model]) -> None:
    trees = [program(is_extended=extended).run(models[0]) for extended in (False, True)]
    for first, second, side in ((*trees, "second"), (*reversed(trees), "first")):
        diff = first.diff(second)
        assert [each.name for each in diff.decisions] == ["topic", "answer"]
        assert [(each.tree, each.name) for each in diff.unaligned] == [(side, "mood")]
        assert not diff.decisions[1].is_same_context
        assert "has no such decision there" in str(diff)
    changed = trees[0].diff(program(question="Is it so?").run(models[0]))
    assert not any(each.is_same_context for each in changed.decisions)
    assert not changed.unaligned


def test_other_choices_leave_a_divergence_of_what_is_shared(models: tuple[Model, Model]) -> None:
    def run(*choices: str) -> ThoughtTree:
        actions = [
            Text(uid="text", text="It is", successors="it"),
            Choose(uid="it", name="it", choices=choices),
        ]
        return Automaton(actions).run(models[0])

    first, second = run(" a", " b", " c"), run(" b\n", " c", " d")
    (decision,) = first.diff(second).decisions
    pairs = [(each.text, each.is_shared) for each in decision.alternatives]
    # " b" and " b\n" have the value "b".
    assert pairs == [(" a", False), (" b", True), (" c", True), (" d", False)]
    shared = [each for each in decision.alternatives if each.is_shared]
    shares = [[each.first for each in shared], [each.second for each in shared]]
    normalized = [[share / sum(row) for share in row] for row in shares]
    assert decision.divergence == pytest.approx(kl(*normalized), rel=1e-9)
    assert decision.divergence_note.startswith("of the 2 shared alternatives alone; the others")
    assert f"{1 - sum(shares[0]):.4f} and {1 - sum(shares[1]):.4f}" in decision.divergence_note
    assert decision.differs(1.0)

    (unknown,) = first.diff(run(" c", " d")).decisions
    assert unknown.divergence is None
    assert "KL not known: fewer than two alternatives are in both trees" in str(unknown)


def test_a_share_of_zero_makes_the_divergence_infinite(models: tuple[Model, Model]) -> None:
    tree = program().run(models[0])
    at = tree.children[0]
    probs = dict(zip(at, (1.0, 0.0), strict=True))
    nodes = [replace(n, prob=probs.get(i, n.prob)) for i, n in enumerate(tree.nodes)]
    diff = tree.diff(replace(tree, nodes=tuple(nodes)), tolerance=0)
    decision = diff.decisions[0]
    assert decision.divergence == math.inf
    assert 0 < (decision.reverse_divergence or 0) < math.inf
    data = json.loads(json.dumps(diff.to_dict(), allow_nan=False))
    assert data["first"] == 0
    assert data["decisions"][0]["is_divergence_infinite"]
    assert data["decisions"][0]["divergence"] is None
    assert not data["decisions"][0]["is_reverse_divergence_infinite"]
    assert "KL infinite, reverse" in str(diff)


def test_different_texts_are_followed_side_by_side(models: tuple[Model, Model]) -> None:
    automaton = Automaton(
        [
            Text(uid="text", text="Think:", successors="thought"),
            Complete(uid="thought", name="thought", length=4, successors="answer"),
            Choose(uid="answer", name="answer", choices=ANSWERS, width=None),
        ]
    )
    trees = [automaton.run(model) for model in models]
    diff = trees[0].diff(trees[1])
    thought, answer = diff.decisions
    assert thought.divergence is None
    assert diff.first is diff.parting is thought
    assert answer.divergence is not None
    assert not answer.is_same_context
    assert answer.after == trees[0].best().nodes[1].text
    lines = str(diff).splitlines()
    assert lines[2].startswith("the best paths part at thought: ")
    assert all(line.isprintable() for line in lines)


def test_groups_and_samples(models: tuple[Model, Model]) -> None:
    group = Ask(
        uid="both",
        successors="end",
        questions=(
            (Choose(uid="one", name="one", choices=ANSWERS),),
            (Complete(uid="two", name="two", length=1, samples=8, temperature=1.0),),
        ),
    )
    end = Choose(uid="end", name="end", choices=ANSWERS)
    automaton = Automaton([Text(uid="text", text="Well?", successors="both"), group, end])
    trees = [automaton.run(model) for model in models]
    diff = trees[0].diff(trees[1])
    assert [each.name for each in diff.decisions][:2] == ["one", "two"]
    assert diff.decisions[0].inexact == ""
    assert diff.decisions[1].inexact == "frequencies of samples"


def chain(length: int, first: int = 0) -> ThoughtTree:
    """A path of many choices, each of two alternatives."""
    nodes = []
    for number in range(first, length):
        last = len(nodes) - 2 if nodes else -1
        nodes += [
            ThoughtNode(uid=f"c{number}", text=text, prob=prob, parent=last, kind="choice")
            for text, prob in (("a", 0.75), ("b", 0.25))
        ]
    nodes[-1] = replace(nodes[-1], pruned_by="width")
    nodes[-2] = replace(nodes[-2], last=True)
    return ThoughtTree(nodes=tuple(nodes))


def test_long_chains_and_many_choices() -> None:
    tree = chain(1000)
    assert len(tree.diff(tree).decisions) == 1000
    diff = tree.diff(chain(1000, first=1))
    assert [each.name for each in diff.unaligned] == ["c0"]
    assert len(diff.decisions) == 999
    many = tuple(
        ThoughtNode(uid="c", text=str(number), prob=1 / 2000, kind="choice")
        for number in range(2000)
    )
    wide = ThoughtTree(nodes=many)
    assert len(wide.diff(ThoughtTree(nodes=many[::-1])).decisions[0].alternatives) == 2000
