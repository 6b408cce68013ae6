"""The strategy "text": automata on backends without token distributions."""

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


class TextOnlyBackend:
    """A backend like a server: `choose` and `complete`, but no token distributions.

    :param told: whether completions have log-probabilities.
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


def test_the_default_strategy_depends_on_the_backend() -> None:
    served = program().run(Model(TextOnlyBackend()))
    assert served.provenance["strategy"] == "text"
    exact = program().run(random_model(seed=5))
    assert exact.provenance["strategy"] == "token_tree"
    assert served.fields == exact.fields
    # What follows goes on from text here and from tokens there, which bytes at random tell apart.
    assert (served.nodes[1].exact, served.nodes[1].reason) == (True, "")
    assert served.nodes[1].logprobs == pytest.approx(exact.nodes[1].logprobs)


def test_inexact_nodes_have_a_reason() -> None:
    tree = program().run(Model(TextOnlyBackend(told=False)))
    said = next(node for node in tree.nodes if node.uid == "w")
    assert not said.exact
    assert said.reason == "the backend returns no log-probabilities"
    assert (said.tokens, said.logprobs) == ((), ())
    assert {node.reason for node in tree.nodes if node.uid == "c"} == {
        "the backend says that its scores are not exact"
    }
    assert not tree.best().exact
    assert "not exact: the backend returns no log-probabilities (1 of 4)" in tree_text(tree).plain


def test_the_strategy_is_an_argument() -> None:
    model = random_model(seed=5)
    asked = program().run(model, strategy="text")
    assert asked.fields == program().run(model).fields
    with pytest.raises(InputError, match="strategy"):
        program().run(model, strategy="guess")  # type: ignore[arg-type]


def test_samples_are_siblings() -> None:
    tree = program(samples=3, width=None, seed=1).run(Model(TextOnlyBackend()))
    texts = [node.text for node in tree.nodes if node.uid == "w"]
    assert 1 < len(texts) <= 3
    assert len(set(texts)) == len(texts)
    assert sum(node.prob for node in tree.nodes if node.uid == "w") == pytest.approx(1.0)


def test_a_set_of_tokens_needs_distributions() -> None:
    with pytest.raises(CapabilityError, match="token distributions"):
        program(vocab=Strings(("a",))).run(Model(TextOnlyBackend()))


def asked(*actions: Any, model: Model) -> tuple[ThoughtNode, ...]:
    return Automaton(actions).run(model, strategy="text").nodes


def test_equal_samples_are_one_branch_with_their_frequency() -> None:
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


def test_samples_in_place_of_beams_rank_by_their_scores() -> None:
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
    silent = TextOnlyBackend(told=False)
    silent._inner = model
    untold = Automaton([it, beams]).run(Model(silent)).nodes[1:]
    texts = [node.text for node in untold]
    first = next(node for node in untold if node.pruned_by is None)
    assert texts.count(first.text) == max(texts.count("a"), texts.count("b"))
    assert first.prob == texts.count(first.text) / 8


@pytest.mark.parametrize("end", [None, ".", EOS])
@pytest.mark.parametrize("norm", ["sum", "mean", "per_byte"])
@pytest.mark.parametrize("text", ["I like ", "Say", "It is"])
def test_a_choice_continues_with_the_tokens_of_token_trees(text: str, norm: Any, end: Any) -> None:
    """Also with healed text, and without the suffix."""
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


def test_a_choice_that_changes_decided_tokens_is_not_exact() -> None:
    """The token "a" was decided; as text, "ab" is one token."""
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


def test_a_text_with_other_tokens_than_the_decided_is_not_exact() -> None:
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


def test_texts_have_the_scores_of_token_trees() -> None:
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
    served = program.run(Model(TextOnlyBackend(seed=4, vocabulary="merges")))
    assert {node.uid for node in served.nodes if not node.exact} == {"b", "c", "d"}


class NoTokenizer(TextOnlyBackend):
    """A backend without a tokenizer."""

    tokenize = None  # type: ignore[assignment]
    detokenize = None  # type: ignore[assignment]


def test_without_a_tokenizer_runs_work_but_are_not_exact() -> None:
    served, mute = program().run(Model(TextOnlyBackend())), program().run(Model(NoTokenizer()))
    assert mute.fields == served.fields
    assert {node.exact for node in mute.nodes[1:]} == {False}
    assert mute.nodes[1].reason == "the backend has no tokenizer: the scored tokens are unknown"


class PickingBackend(TextOnlyBackend):
    """A backend that picks a choice, without log-probabilities of text."""

    @hookimpl
    def choose(self, request: ChoiceRequest) -> ChoiceScores:
        found = self._inner.client.choose(request)
        scores = tuple(
            replace(score, prob=float(number == 1)) for number, score in enumerate(found.scores)
        )
        return replace(found, scores=scores, index=1, exact=False, method="pick", reason="it picks")


def test_the_probability_of_a_pick_adds_nothing_to_its_path() -> None:
    one = replace(program().by_uid["c"], width=1)
    tree = Automaton([*program().actions[:2], one]).run(Model(PickingBackend()))
    assert tree.fields["mood"] == "bad"
    picked = [node for node in tree.nodes if node.uid == "c"]
    assert [(node.prob, node.logprobs, node.reason) for node in picked] == [
        (0.0, (), "it picks"),
        (1.0, (), "it picks"),
    ]
    assert {node.path_logprob for node in picked} == {tree.nodes[1].path_logprob}


def test_reasons_survive_to_dict() -> None:
    tree = program(beams=2).run(Model(TextOnlyBackend()))
    assert ThoughtTree.from_dict(json.loads(json.dumps(tree.to_dict()))).nodes == tree.nodes
