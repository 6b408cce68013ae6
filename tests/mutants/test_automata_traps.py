"""What earlier implementations of automata got wrong, by the numbers of docs' list: never again."""

from __future__ import annotations

import dataclasses

import pytest
from helpers import random_model, table_model

from autocog_core import Automaton, Choose, Complete, InputError, Text
from autocog_core.automaton import Strings


def test_trap3_width_keeps_the_best() -> None:
    automaton = Automaton(
        [
            Text(uid="t", text="A colour:", successors="c"),
            Choose(uid="c", choices=(" red", " green", " blue", " grey", " pink"), width=2),
        ]
    )
    for seed in range(5):
        tree = automaton.run(random_model(seed=seed))
        nodes = [node for node in tree.nodes if node.uid == "c"]
        ranked = sorted(nodes, key=lambda node: -node.logprob)
        assert [node.pruned for node in ranked] == [None, None, "width", "width", "width"]
        assert tree.best().end == ranked[0]


def test_trap5_evaluating_twice_gives_the_same_tokens() -> None:
    automaton = Automaton(
        [
            Text(uid="t", text="Write:", evaluate=True, successors="w"),
            Complete(uid="w", length=6, beams=2, width=2, successors="c"),
            Choose(uid="c", choices=(" yes", " no")),
        ]
    )
    model, other = random_model(seed=1), random_model(seed=2)
    first = automaton.run(model)
    automaton.run(other)
    again = automaton.run(model)
    assert [dataclasses.astuple(node) for node in first.nodes] == [
        dataclasses.astuple(node) for node in again.nodes
    ]


@pytest.mark.parametrize("header", ["Q:", "A long header that says much. " * 30 + "Q:"])
def test_trap7_fixed_text_does_not_count_as_decided(header: str) -> None:
    automaton = Automaton(
        [
            Text(uid="t", text=header, successors="c"),
            Choose(uid="c", choices=(" yes", " certainly"), norm="mean", width=None),
        ]
    )
    model = random_model(seed=4)
    tree = automaton.run(model)
    scores = model.choose(header, (" yes", " certainly"), norm="mean").scores
    for node, score in zip(tree.nodes[1:], scores, strict=True):
        assert node.length == len(score.tokens)
        assert node.prob == pytest.approx(score.prob)
        assert node.mean == pytest.approx(score.mean)


def written(model_seed: int, letters: str, stop: str) -> str:
    automaton = Automaton(
        [
            Text(uid="t", text="Go", successors="w"),
            Complete(uid="w", length=200, vocab="letters", stop=stop, eos=False),
        ],
        {"letters": Strings(tuple(letters))},
    )
    node = automaton.run(random_model(seed=model_seed)).best().end
    assert node.finish == "stop"
    return node.text


def test_trap12_a_mask_never_keeps_its_stop_out() -> None:
    for seed in range(5):
        assert set(written(seed, "ab", stop=".")) <= set("ab")


def test_trap12_masks_are_kept_by_content_and_not_by_name() -> None:
    model = random_model(seed=3)
    for letters in ("ab", "cd", "ab"):
        automaton = Automaton(
            [
                Text(uid="t", text="Go", successors="w"),
                Complete(uid="w", length=5, vocab="letters", eos=False),
            ],
            {"letters": Strings(tuple(letters))},
        )
        assert set(automaton.run(model).best().end.text) <= set(letters)


@pytest.mark.parametrize("beams", [0, -1])
def test_trap15_no_beams_are_refused(beams: int) -> None:
    automaton = Automaton([Complete(uid="w", length=4, beams=beams)])
    with pytest.raises(InputError, match="beams is"):
        automaton.run(random_model())


def test_trap15_a_dead_end_is_no_result() -> None:
    """After "x" nothing that the set allows is possible."""
    model = table_model({"x": {"z": 1.0}})
    automaton = Automaton(
        [
            Text(uid="t", text="x", successors="w"),
            Complete(uid="w", length=4, vocab=Strings(("y",)), eos=False),
        ]
    )
    with pytest.raises(InputError, match="no token is allowed"):
        automaton.run(model)
