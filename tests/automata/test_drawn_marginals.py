"""Marginals of generated automata, compared with one path after the other."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from autocog_core import Ask, Automaton, Choose, Complete, InputError
from autocog_core.automaton import Action
from autocog_core.types.thought_tree import ThoughtTree
from tests.automata.test_drawn_groups import grouped
from tests.support.automata.drawing import compare_drawn
from tests.support.automata.generated import Case, cases
from tests.support.soak import count

NEAR = 1e-9


def named(action: Action, number: int) -> Action:
    """Give choices, and some completions, a field; some of them the same one."""
    if isinstance(action, Ask):
        questions = (
            tuple(named(step, number + 1) for step in question) for question in action.questions
        )
        return replace(action, questions=tuple(questions))
    if isinstance(action, Choose) or (isinstance(action, Complete) and number % 2):
        return replace(action, name=f"field{number % 2}")
    return replace(action, name=None)


def weight_of(tree: ThoughtTree, index: int, group: int | None, question: int | None) -> float:
    """Return the weight of a node, for a field of a question of a group."""
    node = tree.nodes[index]
    if group is not None and node.question is not None and node.question != question:
        before = index
        while tree.nodes[before].kind != "group":
            before = tree.nodes[before].parent
        if before == group:
            return float(node.pruned_by is None or bool(tree.children[index]))
    if node.kind == "beam":
        return math.exp(node.logprob)
    return node.prob if node.kind in ("choice", "sample") else 1.0


def path_to(tree: ThoughtTree, index: int) -> list[int]:
    path = []
    while index >= 0:
        path.append(index)
        index = tree.nodes[index].parent
    return path[::-1]


def sum_paths(tree: ThoughtTree, name: str) -> dict[Any, float]:
    """Return the marginal of a field: a sum over the nodes at which a path first knows it."""
    fields = [index for index, node in enumerate(tree.nodes) if node.name == name]
    again = {uid for index in fields for uid in tree.repeats.get(tree.nodes[index].uid, ())}
    sums: defaultdict[Any, float] = defaultdict(float)
    for index, node in enumerate(tree.nodes):
        path = path_to(tree, index)
        values = [tree.nodes[step].value for step in path if tree.nodes[step].name == name]

        def knows(step: int) -> bool:
            at = tree.nodes[step]
            if at.last and at.pruned_by is None:
                return True
            return at.uid not in again if again else at.name == name

        if [step for step in path if knows(step)] != [index]:
            continue
        group = None
        if not again and (inside := [step for step in path if tree.nodes[step].kind == "group"]):
            group = inside[-1]
        question = node.question
        questions = {tree.nodes[step].question for step in fields if group in path_to(tree, step)}
        if not any(number is not None for number in questions):
            group = None
        elif question is None:
            (question,) = {number for number in questions if number is not None}
        weight = math.prod(weight_of(tree, step, group, question) for step in path)
        sums[tuple(values) if again else next(iter(values), None)] += weight
    return dict(sums)


def check_case(case: Case) -> Iterator[str]:
    models = case.models()
    main = models.pop(None)
    actions = tuple(named(action, number) for number, action in enumerate(case.actions))
    automaton = Automaton(actions, case.vocabs)
    try:
        tree = automaton.run(main, models=models)
    except InputError:
        yield "refused"
        return
    if len(tree.nodes) > 400:
        return
    again = ThoughtTree.from_dict(tree.to_dict())
    for name in {node.name for node in tree.nodes if node.name is not None}:
        marginal = tree.marginals(name)
        assert again.marginals(name) == marginal
        assert marginal.values == pytest.approx(sum_paths(tree, name), abs=NEAR)
        total = math.fsum([marginal.unexplored, *marginal.values.values()])
        assert total == pytest.approx(1.0, abs=NEAR)
        values = list(marginal.values)
        yield "compared"
        if None in values:
            yield "not set"
        if any(isinstance(value, tuple) and len(value) > 1 for value in values):
            yield "a list"
        if marginal.unexplored:
            yield "unexplored"
        if any(node.question is not None and node.name == name for node in tree.nodes):
            yield "in a group"


def test_marginals_are_sums_over_paths() -> None:
    examples = count(normal=20, soak=1500)
    seen = compare_drawn(cases("small"), check_case, 3, examples)
    for what in ("compared", "a list", "unexplored")[: 3 if examples > 100 else 1]:
        assert seen[what], seen


def test_marginals_of_groups_are_sums_over_paths() -> None:
    seen = compare_drawn(grouped(), check_case, 4, count(normal=15, soak=500))
    for what in ("compared", "in a group", "unexplored"):
        assert seen[what], seen
