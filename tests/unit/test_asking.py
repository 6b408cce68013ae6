"""Automata on backends that tell no distributions: by their own `choose` and `complete`."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from autocog_core import (
    EOS,
    Automaton,
    CapabilityError,
    Choose,
    Complete,
    InputError,
    Model,
    Text,
    hookimpl,
)
from autocog_core.automaton import Strings
from autocog_core.types.backend_info import BackendInfo
from autocog_core.types.choice import ChoiceRequest, ChoiceScores
from autocog_core.types.completion import Completion
from autocog_core.types.completion import CompletionRequest as Request
from autocog_core.types.thought_tree import ThoughtNode, ThoughtTree
from autocog_core.viz.tree_text import tree_text
from tests.support.small_backends import random_model, table_model


class CallResult:
    """What a server offers: answers, and not how it comes to them.

    :param told: whether it tells log-probabilities of what it writes.
    """

    def __init__(self, told: bool = True, **options: Any) -> None:
        self._inner = random_model(**{"seed": 5, **options})
        self._told = told

    @hookimpl
    def describe(self) -> BackendInfo:
        return self._inner.info

    @hookimpl
    def tokenize(self, texts: Sequence[str], at_start: bool, parse_special: bool) -> Any:
        return self._inner.client.tokenize(texts, at_start=at_start, parse_special=parse_special)

    @hookimpl
    def detokenize(self, tokens: Sequence[int]) -> bytes:
        return self._inner.client.detokenize(tokens)

    @hookimpl
    def choose(self, request: ChoiceRequest) -> ChoiceScores:
        return replace(self._inner.client.choose(request), exact=False)

    @hookimpl
    def complete(self, request: Request) -> Completion:
        found = self._inner.client.complete(request)
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
    served = program().run(Model(CallResult()))
    assert served.provenance["strategy"] == "text"
    exact = program().run(random_model(seed=5))
    assert exact.provenance["strategy"] == "token_tree"
    assert served.fields == exact.fields
    # What follows goes on from text here and from tokens there, which bytes at random tell apart.
    assert (served.nodes[1].exact, served.nodes[1].reason) == (True, "")
    assert served.nodes[1].logprobs == pytest.approx(exact.nodes[1].logprobs)


def test_what_is_not_exact_says_so() -> None:
    tree = program().run(Model(CallResult(told=False)))
    said = next(node for node in tree.nodes if node.uid == "w")
    assert not said.exact
    assert said.reason == "the backend returns no log-probabilities"
    assert (said.tokens, said.logprobs) == ((), ())
    assert {node.reason for node in tree.nodes if node.uid == "c"} == {
        "the backend says that its scores are not exact"
    }
    assert not tree.best().exact
    assert "not exact: the backend returns no log-probabilities (1 of 4)" in tree_text(tree).plain


def test_it_may_be_asked_for() -> None:
    model = random_model(seed=5)
    asked = program().run(model, strategy="text")
    assert asked.fields == program().run(model).fields
    with pytest.raises(InputError, match="strategy"):
        program().run(model, strategy="guess")  # type: ignore[arg-type]


def test_samples_are_siblings() -> None:
    tree = program(samples=3, width=None, seed=1).run(Model(CallResult()))
    texts = [node.text for node in tree.nodes if node.uid == "w"]
    assert 1 < len(texts) <= 3
    assert len(set(texts)) == len(texts)
    assert sum(node.prob for node in tree.nodes if node.uid == "w") == pytest.approx(1.0)


def test_a_set_of_tokens_needs_distributions() -> None:
    with pytest.raises(CapabilityError, match="token distributions"):
        program(vocab=Strings(("a",))).run(Model(CallResult()))


def asked(*actions: Any, model: Model) -> tuple[ThoughtNode, ...]:
    return Automaton(actions).run(model, strategy="text").nodes


def test_samples_that_came_several_times_are_one_branch_with_their_frequency() -> None:
    model = table_model({"It is": {"a": 0.7, "b": 0.3}})
    it = Text(uid="t", text="It is", successors="w")
    nodes = asked(it, Complete(uid="w", length=1, samples=20, seed=2, width=None), model=model)
    kept = {node.text: node.prob for node in nodes[1:] if node.pruned_by is None}
    texts = [node.text for node in nodes[1:]]
    assert len(texts) == 20
    assert kept == pytest.approx({text: texts.count(text) / 20 for text in "ab"})
    assert all(node.exact for node in nodes)
    exact = {"a": 0.7, "b": 0.3}
    for node in nodes[1:]:
        assert node.logprobs == pytest.approx([math.log(exact[node.text])], abs=1e-6)


def test_samples_in_place_of_beams_rank_by_what_is_told_of_them() -> None:
    it = Text(uid="t", text="It is", successors="w")
    beams = Complete(uid="w", length=1, beams=8, seed=2)
    model = table_model({"It is": {"a": 0.7, "b": 0.3}})
    nodes = asked(it, beams, model=model)
    best = next(node for node in nodes[1:] if node.pruned_by is None)
    assert best.text == "a"
    assert {node.reason for node in nodes[1:]} == {
        "8 samples in place of beams: a search needs token distributions"
    }
    # Where nothing is told, the text that came most often comes first.
    silent = CallResult(told=False)
    silent._inner = model
    untold = Automaton([it, beams]).run(Model(silent)).nodes[1:]
    texts = [node.text for node in untold]
    first = next(node for node in untold if node.pruned_by is None)
    assert texts.count(first.text) == max(texts.count("a"), texts.count("b"))
    assert first.prob == texts.count(first.text) / 8


@pytest.mark.parametrize("end", [None, ".", EOS])
@pytest.mark.parametrize("norm", ["sum", "mean", "per_byte"])
@pytest.mark.parametrize("text", ["I like ", "Say", "It is"])
def test_a_choice_hands_on_what_token_trees_would(text: str, norm: Any, end: Any) -> None:
    """Also where it re-spells the end of the text, and without the end that had to follow."""
    model = random_model(seed=4, vocabulary="merges")
    program = Automaton(
        [
            Text(uid="t", text=text, successors="c"),
            Choose(uid="c", choices=("Paris", " the", "a"), norm=norm, suffix=end, successors="w"),
            Complete(uid="w", length=4, stop=".", successors="e"),
            Text(uid="e", text=" end", evaluate=True),
        ]
    )
    exact, found = program.run(model), program.run(model, strategy="text")
    for node, twin in zip(found.nodes, exact.nodes, strict=True):
        if node.exact:
            alike = {"logprobs": (), "path_logprob": 0.0, "prob": 0.0}
            assert replace(node, **alike) == replace(twin, **alike)
            assert node.logprobs == pytest.approx(twin.logprobs)
            assert node.prob == pytest.approx(twin.prob)
    assert all(node.exact for node in found.nodes[:5])


def test_a_choice_that_re_spells_what_was_decided_says_so() -> None:
    """By tokens "a" is settled; as text it is one token with the "b" after it."""
    model = table_model({"It is": {"a": 0.9}, "It isa": {"b": 0.5}}, vocabulary="merges")
    nodes = asked(
        Text(uid="t", text="It is", successors="w"),
        Complete(uid="w", length=1, successors="c"),
        Choose(uid="c", choices=("b", "c")),
        model=model,
    )
    assert nodes[1].exact
    assert {node.reason for node in nodes[2:]} == {
        "the choices are scored with tokens other than those that continue the path"
    }


def test_what_goes_on_from_other_tokens_than_were_decided_says_so() -> None:
    model = table_model({"It is": {"a": 0.9}, "It isa": {"b": 0.5}}, vocabulary="merges")
    nodes = asked(
        Text(uid="t", text="It is", successors="w"),
        Complete(uid="w", length=2, successors="x"),
        Complete(uid="x", length=1),
        model=model,
    )
    assert nodes[1].tokens == tuple(b"ab")
    assert [node.reason for node in nodes] == [
        "",
        "",
        "the text so far has other tokens than those decided on the path",
    ]


def test_texts_are_scored_as_token_trees_do() -> None:
    model = random_model(seed=4, vocabulary="merges")
    program = Automaton(
        [
            Text(uid="a", text="The: ", successors="b"),
            Text(uid="b", text="is it ", evaluate=True, successors="c"),
            Choose(uid="c", choices=("Paris", "the"), width=None, successors="d"),
            Text(uid="d", text=" and the end", evaluate=True),
        ]
    )
    exact, found = program.run(model), program.run(model, strategy="text")
    assert all(node.exact for node in found.nodes)
    for node, twin in zip(found.nodes, exact.nodes, strict=True):
        assert node.tokens == twin.tokens
        assert node.logprobs == pytest.approx(twin.logprobs)
        assert node.path_logprob == pytest.approx(twin.path_logprob)
    # Scores that are not exact are not called so.
    served = program.run(Model(CallResult(seed=4, vocabulary="merges")))
    assert {node.uid for node in served.nodes if not node.exact} == {"b", "c", "d"}


class Mute(CallResult):
    """A backend without a tokenizer."""

    tokenize = None  # type: ignore[assignment]
    detokenize = None  # type: ignore[assignment]


def test_without_a_tokenizer_nothing_is_exact_and_all_runs() -> None:
    served, mute = program().run(Model(CallResult())), program().run(Model(Mute()))
    assert mute.fields == served.fields
    assert {node.exact for node in mute.nodes[1:]} == {False}
    assert mute.nodes[1].reason == "the backend has no tokenizer: the scored tokens are unknown"


class Picking(CallResult):
    """Tells which choice it takes, and no log-probabilities of text."""

    @hookimpl
    def choose(self, request: ChoiceRequest) -> ChoiceScores:
        found = self._inner.client.choose(request)
        scores = tuple(
            replace(score, prob=float(number == 1)) for number, score in enumerate(found.scores)
        )
        return replace(found, scores=scores, index=1, exact=False, method="pick", reason="it picks")


def test_probabilities_of_a_pick_are_not_mixed_with_those_of_paths() -> None:
    one = replace(program().by_uid["c"], width=1)
    tree = Automaton([*program().actions[:2], one]).run(Model(Picking()))
    assert tree.fields["mood"] == " bad"
    picked = [node for node in tree.nodes if node.uid == "c"]
    assert [(node.prob, node.logprobs, node.reason) for node in picked] == [
        (0.0, (), "it picks"),
        (1.0, (), "it picks"),
    ]
    assert {node.path_logprob for node in picked} == {tree.nodes[1].path_logprob}


def test_why_travels_with_the_tree() -> None:
    tree = program(beams=2).run(Model(CallResult()))
    assert ThoughtTree.from_dict(json.loads(json.dumps(tree.to_dict()))).nodes == tree.nodes
