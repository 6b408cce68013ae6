"""The evaluator compared with a slow reference evaluator, on generated automata."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import reject

from autocog_core import EOS, Choose, Complete, InputError, Text
from autocog_core.automaton import Action
from tests.support.automata.best_choices import check_best_choices
from tests.support.automata.comparing import check_tree, features
from tests.support.automata.drawing import compare_drawn
from tests.support.automata.generated import Case, cases
from tests.support.automata.reading import RefusedError
from tests.support.automata.reference_evaluator import NotComparableError, SlowEvaluation

#: Kind of model and its vocabulary: 50 automata each, 500 in all. Three quarters have merges.
BATCHES = [
    *[("small", "")] * 5,
    *[("random", "merges")] * 2,
    ("table", "merges"),
    ("random", "bytes"),
    ("table", "bytes"),
]

#: Errors of cases that the reference evaluator refuses.
REFUSED = r"nothing to condition on|no token is allowed|this model adds no BOS"
#: In how many of the 500 each of these has to happen, or the test would say little.
LEAST = {
    **dict.fromkeys(("a text scored", "retokenized", "healed", "equal scores"), 20),
    **dict.fromkeys(("a stop that begins inside a token", "a stop that ends inside a token"), 15),
    **dict.fromkeys(("a stop over several tokens", "nothing but the rest of a stop"), 10),
    "pmi after the constant tail": 2,
    **dict.fromkeys(("a set of tokens", "an action visited again", "no BOS"), 30),
    **dict.fromkeys(("a path that ends at max_visits", "a choice pruned at max_visits"), 20),
    **dict.fromkeys(("pruned: width", "pruned: threshold", "pruned: duplicate"), 15),
    **dict.fromkeys(("finish: stop", "finish: eos", "finish: length"), 30),
    **dict.fromkeys(("norm: sum", "norm: mean", "norm: per_byte", "norm: pmi"), 10),
    **dict.fromkeys(("end: None", "end: text", f"end: {EOS}"), 8),
    **dict.fromkeys((f"beams, length_penalty {p}" for p in (-0.7, 0.0, 0.5, 1.0, 2.0)), 6),
    **dict.fromkeys(("a choice that begins another", "successors of their own"), 15),
    **dict.fromkeys(("a character split over tokens", "a token of two texts"), 20),
    **dict.fromkeys(("special tokens in a text", "a text for another model"), 10),
    "a search that ended early": 8,
    "a finished text that a longer one replaces": 8,
    "back to a character's first token": 8,
    "compared": 430,
}

#: Seed and scale of a small model, and actions in which something happens that seldom does.
RARE: dict[str, tuple[int, float, tuple[Action, ...]]] = {
    "a longer text wins though the pool is full": (
        47,
        4.0,
        (
            Text(uid="n0", text="a", successors=("n1",)),
            Complete(uid="n1", length=6, beams=2, length_penalty=2.0, width=None),
        ),
    ),
    "a token without bytes comes before a stop": (
        4,
        1.5,
        (
            Text(uid="n0", text="a", successors=("n1",)),
            Complete(uid="n1", length=4, stop=(".",), successors=("n2",)),
            Choose(uid="n2", choices=("a", "b"), width=None),
        ),
    ),
    "a choice re-spells half a character, and has an end": (
        0,
        1.5,
        (
            Text(uid="n0", text="é", successors=("n1",)),
            Choose(uid="n1", choices=("b",), suffix=".", successors=("n2",)),
            Text(uid="n2", text="1", evaluate=True),
        ),
    ),
    "texts alone go in a circle": (
        0,
        1.5,
        (
            Text(uid="n0", text="a", evaluate=True, max_visits=2, successors=("n1",)),
            Text(uid="n1", text="b", evaluate=True, successors=("n0",)),
        ),
    ),
    "texts end before the model that they were for": (
        0,
        1.5,
        (
            Text(uid="begin", text="1", successors=("n0",)),
            Text(uid="n0", text="a", evaluate=True, successors=("n1",)),
            Text(uid="n1", text=".", evaluate=True, successors=("n2",)),
            Choose(uid="n2", choices=("1",), model="other", max_visits=1, successors=("n0",)),
        ),
    ),
    "a text of nothing comes after one that is scored": (
        0,
        1.5,
        (
            Text(uid="n0", text="ab", evaluate=True, successors=("n1",)),
            Text(uid="n1", text="", successors=("n2",)),
            Choose(uid="n2", choices=("1",), successors=("n3",)),
            Text(uid="n3", text="", evaluate=True),
        ),
    ),
}


def compare(case: Case) -> set[str]:
    """Compare both orders with the reference tree, and return the features of the case."""
    models = case.models()
    main = models[None]
    others = {name: model for name, model in models.items() if name is not None}
    slow = SlowEvaluation(case.automaton, models)
    try:
        steps = slow.run()
    except RefusedError:
        with pytest.raises(InputError, match=REFUSED):
            case.automaton.run(main, models=others)
        return {"refused"}
    whole = case.automaton.run(main, models=others)
    check_tree(whole, steps)
    check_best_choices(case.automaton, whole, main, others)
    check_tree(case.automaton.run(main, models=others, order="best_first"), steps)
    return {"compared", *slow.seen, *features(case, models, steps)}


def compare_if_possible(case: Case) -> set[str]:
    """Skip cases that the reference evaluator does not support."""
    try:
        return compare(case)
    except NotComparableError:
        reject()


@pytest.mark.parametrize(
    ("kind", "vocabulary", "examples"),
    [
        ("small", "", 30),
        ("random", "merges", 30),
        ("table", "merges", 15),
        ("random", "bytes", 15),
        ("table", "bytes", 15),
    ],
)
def test_trees_equal_the_reference(kind: str, vocabulary: str, examples: int) -> None:
    seen = compare_drawn(cases(kind, vocabulary), compare_if_possible, 100, examples)
    assert seen["compared"] > examples // 2


@pytest.mark.soak
def test_many_trees_equal_the_reference() -> None:
    seen: Counter[str] = Counter()
    for number, (kind, vocabulary) in enumerate(BATCHES):
        seen += compare_drawn(cases(kind, vocabulary), compare_if_possible, number, examples=50)
    seldom = {what: seen[what] for what, least in LEAST.items() if seen[what] < least}
    assert not seldom, f"too few cases: {seldom}"


@pytest.mark.parametrize("what", RARE)
def test_rare_cases_equal_the_reference(what: str) -> None:
    seed, scale, actions = RARE[what]
    options = {"seed": seed, "bos": True, "scale": scale}
    assert compare(Case("small", options, actions, {})) >= {"compared"}
