"""Tests for mistakes of core, which no law can catch, because they are not in a backend.

Earlier implementations made these mistakes. `test_mutants.py` lists them with the mutants.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from autocog_core import (
    AutocogError,
    Automaton,
    ChoiceRequest,
    ChoiceScores,
    Choose,
    Complete,
    HookError,
    InputError,
    Model,
    RetryPolicy,
    Text,
    load,
)
from autocog_core.automaton import Strings
from autocog_core.backends.byte_vocabulary import ByteVocabulary
from autocog_core.backends.random import RandomLM
from tests.mutants.correct_models import Chooser, CorrectLM
from tests.support.small_backends import Plain, random_model, table_model


def test_width_prunes_all_but_the_best() -> None:
    automaton = Automaton(
        [
            Text(uid="t", text="A colour:", successors="c"),
            Choose(uid="c", choices=(" red", " green", " blue", " grey", " pink"), width=2),
        ]
    )
    for seed in range(5):
        tree = automaton.run(random_model(seed=seed))
        nodes = [node for node in tree.nodes if node.uid == "c"]
        ranked = sorted(nodes, key=lambda node: -node.path_logprob)
        assert [node.pruned_by for node in ranked] == [None, None, "width", "width", "width"]
        assert tree.best().end == ranked[0]


def test_a_second_run_gives_the_same_tree() -> None:
    automaton = Automaton(
        [
            Text(uid="t", text="Write:", evaluate=True, successors="w"),
            Complete(uid="w", length=6, beams=2, width=2, successors="c"),
            Choose(uid="c", choices=(" yes", " no"), width=None, successors=("m", "e")),
            Complete(uid="m", length=4, beams=2, successors="e"),
            Text(uid="e", text="!"),
        ]
    )
    model, other = random_model(seed=1), random_model(seed=2)
    first = automaton.run(model)
    automaton.run(other)
    again = automaton.run(model)
    assert [dataclasses.astuple(node) for node in first.nodes] == [
        dataclasses.astuple(node) for node in again.nodes
    ]


@pytest.mark.parametrize("header", ["Q:", "A long header of many words. " * 30 + "Q:"])
def test_fixed_text_has_no_decided_tokens(header: str) -> None:
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
        assert node.mean_logprob == pytest.approx(score.mean_logprob)


def complete_letters(model_seed: int, letters: str, stop: str) -> str:
    automaton = Automaton(
        [
            Text(uid="t", text="Go", successors="w"),
            Complete(uid="w", length=200, vocab="letters", stop=stop, eos=False, successors="e"),
            Text(uid="e", text="."),
        ],
        {"letters": Strings(tuple(letters))},
    )
    model = random_model(seed=model_seed)
    (node,) = (node for node in automaton.run(model).nodes if node.uid == "w")
    assert node.finish_reason == "stop"
    assert model.detokenize(node.tokens) == node.text + stop
    return node.text


@pytest.mark.parametrize("stop", [".", "km"])
def test_a_mask_allows_the_stop_string(stop: str) -> None:
    for seed in range(5):
        assert set(complete_letters(seed, "ab", stop)) <= set("ab")


def test_masks_are_cached_by_content() -> None:
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


@pytest.mark.parametrize("choices", [[], ["a", ""], ["a", "a"], ["a", "\ud800"]], ids=ascii)
def test_invalid_choices_reach_no_backend(choices: list[str]) -> None:
    class NeverAsked(Chooser):
        def answer(self, request: ChoiceRequest) -> ChoiceScores:
            raise AssertionError("the backend was asked")

    model = Model(NeverAsked())
    with pytest.raises(InputError, match="choice"):
        model.choose("x", choices)
    with pytest.raises(InputError, match="choice"):
        model.choose_many(["x"], choices and [choices])


@pytest.mark.parametrize("beams", [0, -1])
def test_a_search_with_no_beams_is_refused(beams: int) -> None:
    automaton = Automaton([Complete(uid="w", length=4, beams=beams)])
    with pytest.raises(InputError, match=f"beams is {beams}: give 1 to 10000"):
        automaton.run(random_model())


def test_a_completion_without_allowed_tokens_is_an_error() -> None:
    """After "x", the model gives probability 0 to all allowed tokens."""
    model = table_model({"x": {"z": 1.0}})
    automaton = Automaton(
        [
            Text(uid="t", text="x", successors="w"),
            Complete(uid="w", length=4, vocab=Strings(("y",)), eos=False),
        ]
    )
    with pytest.raises(InputError, match="no token is allowed"):
        automaton.run(model)


def test_a_choice_of_5000_tokens_needs_no_recursion() -> None:
    model = Model(Plain())
    length = 5000
    assert sys.getrecursionlimit() < length
    result = model.choose("x", ["a" * length, "a" * (length - 1) + "b"])
    assert len(result.best.tokens) == length
    assert result.best.logprob == pytest.approx(-length * np.log(256), rel=1e-5)


def test_bos_is_added_only_if_the_model_declares_it() -> None:
    with_bos, without = Model(CorrectLM()), Model(CorrectLM(bos=False))
    assert with_bos.encode("a")[0] == with_bos.info.bos
    assert without.encode("a") == without.tokenize("a")


def test_a_stop_string_matches_at_the_end_of_a_longer_token() -> None:
    dotted = ByteVocabulary("merges").tokenize(".\n", False)
    assert len(dotted) == 1

    class WritesDots(CorrectLM):
        def logits(self, tokens: Sequence[int]) -> Any:
            logits = super().logits(tokens)
            logits[dotted[0] if len(tokens) % 4 == 0 else 97] += 100
            return logits

    completion = Model(WritesDots()).complete("x", stop="\n")
    assert (completion.text, completion.stop_string) == ("aa.", "\n")


def test_impossible_choices_have_equal_probabilities() -> None:
    row = np.full(256, -np.inf, dtype=np.float32)
    row[122] = 0
    result = Model(Plain(lambda tokens: row)).choose("x", ["a", "b" * 600])
    assert [score.prob for score in result.scores] == [0.5, 0.5]


def test_a_programming_error_is_not_retried_and_keeps_its_traceback() -> None:
    calls = []

    def wrong_row(tokens: Any) -> Any:
        calls.append(tokens)
        return len(5)  # type: ignore[arg-type]

    model = Model(Plain(wrong_row), retry=RetryPolicy(retries=3, delta=100))
    with pytest.raises(HookError, match="TypeError") as caught:
        model.choose("x", ["a", "b"])
    assert len(calls) == 1
    assert "wrong_row" in "".join(traceback.format_exception(caught.value))


def test_the_cause_of_a_failed_load_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    cause = TypeError("wrong")

    def create(**options: Any) -> Any:
        raise cause

    monkeypatch.setattr(RandomLM, "create", create)
    with pytest.raises(AutocogError) as caught:
        load(backend="random")
    assert caught.value.__cause__ is cause


def test_importing_core_prints_and_warns_nothing() -> None:
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import autocog_core"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.returncode, process.stdout, process.stderr) == (0, "", "")
