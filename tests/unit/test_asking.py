"""Automata on backends that tell no distributions: by their own `choose` and `complete`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from helpers import random_model

from autocog_core import (
    Automaton,
    CapabilityError,
    Choose,
    Complete,
    InputError,
    Model,
    Text,
    hookimpl,
)
from autocog_core.fta import Strings
from autocog_core.types import BackendInfo, ChoiceRequest, ChoiceScores, Completion
from autocog_core.types import CompletionRequest as Request


class Served:
    """What a server offers: answers, and not how it comes to them.

    :param told: whether it tells log-probabilities of what it writes.
    """

    def __init__(self, told: bool = True) -> None:
        self._inner = random_model(seed=5)
        self._told = told

    @hookimpl
    def describe(self) -> BackendInfo:
        return self._inner.info

    @hookimpl
    def tokenize(self, texts: Sequence[str], at_start: bool, parse_special: bool) -> Any:
        return self._inner.caller.tokenize(texts, at_start=at_start, parse_special=parse_special)

    @hookimpl
    def detokenize(self, tokens: Sequence[int]) -> bytes:
        return self._inner.caller.detokenize(tokens)

    @hookimpl
    def choose(self, request: ChoiceRequest) -> ChoiceScores:
        return replace(self._inner.caller.choose(request), exact=False)

    @hookimpl
    def complete(self, request: Request) -> Completion:
        found = self._inner.caller.complete(request)
        return found if self._told else replace(found, logprobs=None)


def program(**options: Any) -> Automaton:
    return Automaton(
        [
            Text(uid="t", text="Say:", successors="w"),
            Complete(uid="w", name="said", length=6, stop="x", successors="c", **options),
            Choose(uid="c", name="mood", choices=(" good", " bad"), width=None),
        ]
    )


def test_the_strategy_follows_from_what_a_backend_has() -> None:
    served = program().run(Model(Served()))
    assert served.header["strategy"] == "complete+choose"
    exact = program().run(random_model(seed=5))
    assert exact.header["strategy"] == "greedy"
    assert served.fields == exact.fields
    # What follows goes on from text here and from tokens there, which bytes at random tell apart.
    assert served.nodes[1].logprobs == pytest.approx(exact.nodes[1].logprobs)


def test_what_is_not_exact_says_so() -> None:
    tree = program().run(Model(Served(told=False)))
    said = next(node for node in tree.nodes if node.uid == "w")
    assert not said.exact
    assert (said.tokens, said.logprobs) == ((), ())
    assert not any(node.exact for node in tree.nodes if node.uid == "c")


def test_it_may_be_asked_for() -> None:
    model = random_model(seed=5)
    asked = program().run(model, strategy="complete+choose")
    assert asked.fields == program().run(model).fields
    with pytest.raises(InputError, match="strategy"):
        program().run(model, strategy="guess")  # type: ignore[arg-type]


def test_samples_are_siblings() -> None:
    tree = program(samples=3, width=None, seed=1).run(Model(Served()))
    texts = [node.text for node in tree.nodes if node.uid == "w"]
    assert 1 < len(texts) <= 3
    assert len(set(texts)) == len(texts)
    assert sum(node.prob for node in tree.nodes if node.uid == "w") == pytest.approx(1.0)


def test_a_set_of_tokens_needs_distributions() -> None:
    with pytest.raises(CapabilityError, match="token distributions"):
        program(vocab=Strings(("a",))).run(Model(Served()))
