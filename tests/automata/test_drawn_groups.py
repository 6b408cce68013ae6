"""Groups compared with a slow twin: each question alone, as a program after the same texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import strategies as st

from autocog_core import Ask, Automaton, Choose, Complete, InputError
from autocog_core.automaton import Action
from tests.support.automata.drawing import compare_drawn
from tests.support.automata.generated import SMALL, Case, cases, graphs, often, texts
from tests.support.automata.groups import check_group
from tests.support.soak import count

Draw = Callable[[st.SearchStrategy[Any]], Any]


def renamed(actions: tuple[Action, ...], prefix: str) -> tuple[Action, ...]:
    """Return actions with other uids, without fields, of which a run follows the best branch."""
    return tuple(
        replace(
            action,
            uid=prefix + action.uid,
            successors=tuple(prefix + uid for uid in action.successors),
            name=None,
            **({"width": 1} if isinstance(action, Choose | Complete) else {}),
        )
        for action in actions
    )


@st.composite
def parts(draw: Draw, bos: bool) -> tuple[Action, ...]:
    """Draw actions, which mostly follow each other: loops may end a path early."""
    drawn = draw(graphs(SMALL, bos))
    if not draw(often):
        return drawn
    uids = [action.uid for action in drawn]
    return tuple(
        replace(action, successors=tuple(uids[number : number + 1]), max_visits=None)
        for number, action in enumerate(drawn, start=1)
    )


@st.composite
def grouped(draw: Draw) -> Case:
    """A case with texts, a group, and actions after it."""
    case = draw(cases("small"))
    bos = case.options["bos"]
    before = tuple(draw(texts(SMALL, number)) for number in range(draw(st.integers(1, 2))))
    if not bos:
        before = tuple(replace(text, evaluate=False) for text in before)
    questions = [
        renamed(draw(parts(bos)), f"q{number}")
        for number in range(draw(st.sampled_from([2, 3, 2, 1])))
    ]
    after = renamed(draw(parts(True)), "z") if draw(often) else ()
    group = Ask(
        uid="ask",
        questions=tuple(questions),
        successors=tuple(action.uid for action in after[:1]),
    )
    uids = [*(text.uid for text in before[1:]), group.uid]
    before = tuple(replace(text, successors=uid) for text, uid in zip(before, uids, strict=True))
    return replace(case, actions=(*before, group, *after))


def compare(case: Case, **options: Any) -> Iterator[str]:
    models = case.models()
    main = models.pop(None)
    options["models"] = models
    automaton = Automaton(case.actions, case.vocabs)
    assert not automaton.errors()
    try:
        tree = automaton.run(main, **options)
    except InputError:
        yield "refused"
        return
    yield from check_group(automaton, main, tree, **options)


@pytest.mark.parametrize("order", ["breadth_first", "best_first"])
def test_questions_equal_programs_of_their_own(order: str) -> None:
    examples = count(normal=12, soak=300)
    seen = compare_drawn(grouped(), lambda case: compare(case, order=order), 5, examples)
    check_covered(seen, examples)


def test_questions_equal_programs_of_their_own_as_texts() -> None:
    def compare_texts(case: Case) -> Iterator[str]:
        yield from compare(
            replace(case, actions=tuple(map(without_sets, case.actions))), strategy="text"
        )

    examples = count(normal=8, soak=100)
    check_covered(compare_drawn(grouped(), compare_texts, 6, examples), examples)


def without_sets(action: Action) -> Action:
    """Return an action that runs without token distributions."""
    match action:
        case Complete():
            return replace(action, vocab=None, eos=True, beams=1)
        case Ask():
            questions = (tuple(map(without_sets, question)) for question in action.questions)
            return replace(action, questions=tuple(questions))
    return action


def check_covered(seen: Counter[str], examples: int) -> None:
    assert seen["joined"] >= examples // 3, seen
    least = examples // 50 if examples >= 100 else 0
    for what in ("goes on", "ends", "2 questions", "a text before it is scored"):
        assert seen[what] >= least, seen
