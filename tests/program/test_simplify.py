"""Merged chains of texts: fewer nodes in the tree, and the same numbers."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from autocog_core import Automaton, Budget, Choose, InputError, Text
from autocog_core.errors import AutocogError
from autocog_core.types.prompt import Prompt, TextPiece
from autocog_core.types.thought_tree import ThoughtPath, ThoughtTree
from tests.program.generated_programs import programs
from tests.support.operations import growth
from tests.support.small_backends import random_model
from tests.support.soak import count

LIMIT = Budget(paths=60)


def described(tree: ThoughtTree) -> list[object]:
    """The results of all paths, without the nodes of texts."""

    def of(path: ThoughtPath) -> object:
        kept = [node for node in path.nodes if node.uid not in TEXTS]
        return (
            path.text,
            path.tokens,
            round(path.logprob, 9),
            path.end.length,
            path.fields,
            [
                (node.uid, node.text, node.tokens, round(node.prob, 9), node.finish_reason)
                for node in kept
            ],
            path.end.pruned_by,
        )

    inner = {node.parent for node in tree.nodes}
    leaves = [index for index in range(len(tree.nodes)) if index not in inner]
    return [of(ThoughtPath(tree, index)) for index in leaves]


TEXTS: set[str] = set()


@pytest.mark.slow
@settings(max_examples=count(normal=30, soak=150))
@given(programs(runs=True), st.integers(0, 3), st.booleans())
def test_results_are_unchanged(automaton: Automaton, seed: int, bos: bool) -> None:
    bound = automaton.bind()
    assume(not bound.errors())
    simple = bound.simplify()
    assert not simple.errors()
    assert simple.entry.uid == bound.entry.uid
    TEXTS.clear()
    TEXTS.update(action.uid for action in bound.actions if isinstance(action, Text))
    model = random_model(seed=seed, bos=bos)
    try:
        expected = bound.run(model, budget=LIMIT)
    except AutocogError as error:
        with pytest.raises(type(error)):
            simple.run(model, budget=LIMIT)
        return
    assume(expected.stopped_by is None)
    assert described(simple.run(model, budget=LIMIT)) == described(expected)
    assert simple.simplify() == simple


def chain(*texts: Text) -> Automaton:
    return Automaton([*texts, Choose(uid="c", choices=("a", "b"))])


def test_a_chain_becomes_its_first_text() -> None:
    piece = Prompt((TextPiece("<|x|>", trusted=True),))
    automaton = chain(
        Text(uid="t0", text="a", successors="t1"),
        Text(uid="t1", text=piece, successors="t2"),
        Text(uid="t2", text="b", successors="c"),
    )
    (text, _) = automaton.simplify().actions
    expected = Prompt((TextPiece("a"), TextPiece("<|x|>", trusted=True), TextPiece("b")))
    assert text == Text(uid="t0", text=expected, successors="c")


@pytest.mark.parametrize(
    "second",
    [
        Text(uid="t1", text="b", successors="c", name="field"),
        Text(uid="t1", text="b", successors="c", evaluate=True),
        Text(uid="t1", text="b", successors="c", max_visits=1),
        Text(uid="t1", text="b", successors="c", model="other"),
    ],
)
def test_texts_with_other_settings_are_not_merged(second: Text) -> None:
    automaton = chain(Text(uid="t0", text="a", successors="t1"), second)
    assert automaton.simplify() == automaton


def test_a_text_with_several_predecessors_is_not_merged() -> None:
    automaton = Automaton(
        [
            Choose(uid="c", choices=("a", "b"), successors=("x", "y")),
            Text(uid="x", text="x", successors="z"),
            Text(uid="y", text="y", successors="z"),
            Text(uid="z", text="z"),
        ]
    )
    assert automaton.simplify() == automaton


@pytest.mark.parametrize("backwards", [False, True])
def test_long_chains_take_linear_work(backwards: bool) -> None:
    """In the order of the file or against it: the walk was quadratic against it."""

    def simplifying(size: int) -> Callable[[], None]:
        texts = [Text(uid=f"t{n}", text="x", successors=f"t{n + 1}") for n in range(size)]
        rest = [*texts[1:], Text(uid=f"t{size}", text="y")]
        automaton = Automaton([texts[0], *(reversed(rest) if backwards else rest)])

        def call() -> None:
            assert automaton.simplify().actions == (Text(uid="t0", text="x" * size + "y"),)

        return call

    large = count(normal=2_000, soak=20_000)
    assert large > sys.getrecursionlimit()
    # Quadratic work would be 16 times as much.
    assert growth(simplifying, large // 4, large) < 6


def test_an_automaton_with_errors_is_not_simplified() -> None:
    """Once, texts that lead to each other caused an endless loop."""
    loop = [Text(uid="a", text="a"), *(Text(uid=u, text=u, successors=v) for u, v in ("bc", "cb"))]
    with pytest.raises(InputError, match="no path leads to this action"):
        Automaton(loop).simplify()
    with pytest.raises(InputError, match='unknown successor "b"'):
        Automaton([Text(uid="a", text="a", successors="b")]).simplify()
