"""Constrained completions against a twin that enumerates the texts of small languages."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st

from autocog_core import Automaton, CapabilityError, InputError, Model
from autocog_core.automaton import Complete, Regex, Text, Tokens
from autocog_core.backends.random import RandomLM
from autocog_core.backends.table import TableLM
from autocog_core.evaluation import token_masks
from autocog_core.types.thought_tree import ThoughtNode
from tests.support.automata.constrained_search import ConstrainedSearch, Language, language_of
from tests.support.automata.drawing import compare_drawn
from tests.support.automata.reading import Reader, RefusedError
from tests.support.automata.small_model import SmallModel
from tests.support.small_backends import Plain
from tests.support.soak import count

NEAR = 1e-6

#: (a regular expression, the same in Lark's syntax, the largest number of characters).
Expression = tuple[str, str, int]
LITERALS = [("a", '"a"', 1), ("b", '"b"', 1), (r"\n", r'"\n"', 1), ("é", '"é"', 1)]
CLASSES = [("[ab]", "/[ab]/", 1), ("[a-bé]", "/[a-bé]/", 1), (r"[\nb]", r"/[\nb]/", 1)]


def _combine(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    pairs = st.tuples(inner, inner)
    return st.one_of(
        pairs.map(lambda p: (p[0][0] + p[1][0], f"({p[0][1]} {p[1][1]})", p[0][2] + p[1][2])),
        pairs.map(
            lambda p: (
                f"(?:{p[0][0]}|{p[1][0]})",
                f"({p[0][1]} | {p[1][1]})",
                max(p[0][2], p[1][2]),
            )
        ),
        inner.map(lambda e: (f"(?:{e[0]})?", f"({e[1]})?", e[2])),
        inner.map(lambda e: (f"(?:{e[0]}){{1,2}}", f"({e[1]}) ({e[1]})?", 2 * e[2])),
    )


expressions = st.recursive(st.sampled_from(LITERALS + CLASSES), _combine, max_leaves=6).filter(
    lambda expression: 0 < expression[2] <= 5
)
sets = st.sampled_from([None, None, None, Regex("[ab]+"), Tokens(("aba", "é")) | Regex("[a\n]")])


def _models(seed: int, scale: float) -> dict[str, Callable[[], Any]]:
    rows = {"ba": {"a": 0.5, "b": 0.25}, "baa": {"\n": 0.9}, "bab": {"a": 0.6, "<|eos|>": 0.3}}
    return {
        "small": lambda: SmallModel(seed, scale=scale),
        "random": lambda: RandomLM(seed=seed, vocabulary="merges"),
        "table": lambda: TableLM(rows=rows, vocabulary="bytes"),
    }


@st.composite
def cases(draw: st.DrawFn) -> tuple[Model, Complete, Language]:
    kind = draw(st.sampled_from(["small", "small", "small", "random", "table"]))
    model = Model(_models(draw(st.integers(0, 10**6)), draw(st.sampled_from([1.5, 0.0])))[kind]())
    regex, lark, _ = draw(expressions)
    # A grammar's own lexer decides where a text ends before a stop string: docs/constraints.md.
    as_grammar = draw(st.integers(0, 3)) == 0
    stop = () if as_grammar else tuple(draw(st.sampled_from([[], ["\n"], ["b", "ab"], ["é\n"]])))
    follows = draw(st.sampled_from([None, None, "b|\n a", "1.|ba"]))
    if as_grammar or stop:
        follows = None
    texts = language_of(regex)
    following = None
    if follows is not None:
        anything = [chr(number).encode() for number in range(0x20, 0x7F)] + ["é".encode()]
        following = {b"b", b"\n a"} if follows[0] == "b" else {b"ba", *(b"1" + c for c in anything)}
    action = Complete(
        uid="c",
        length=draw(st.integers(1, 6)),
        regex=None if as_grammar else regex,
        grammar=f"start: {lark}" if as_grammar else None,
        stop=stop,
        followed_by=follows,
        beams=draw(st.sampled_from([1, 1, 2, 3])),
        width=None,
        # Tokens of stop strings are in every set, also where they are no stop: docs/semantics.md.
        vocab=None if stop else draw(sets),
        eos=draw(st.booleans()),
        length_penalty=draw(st.sampled_from([1.0, 0.0])),
    )
    return model, action, Language(texts, [one.encode() for one in stop], following)


def _run(model: Model, action: Complete) -> list[ThoughtNode] | None:
    """Return the nodes of a completion after a text; None if no token is allowed."""
    automaton = Automaton([Text(uid="t", text="b", successors=("c",)), action])
    try:
        tree = automaton.run(model)
    except InputError as error:
        if "no token is allowed" not in error.message:
            raise
        return None
    return [node for node in tree.nodes if node.uid == "c"]


def _twin(model: Model, action: Complete, language: Language) -> ConstrainedSearch:
    reader = Reader(model, Counter())
    base = (*reader.start, *reader.tokens_of("b", at_start=True))
    vocab = action.vocab
    assert not isinstance(vocab, str)
    return ConstrainedSearch(reader, action, vocab, base, language)


def test_searches_equal_the_twin() -> None:
    seen = compare_drawn(cases(), _compare, 17, count(normal=60, soak=4000))
    for feature in ("eos", "stop", "length", "complete", "incomplete", "refused", "beams"):
        assert seen[feature], f"no case had {feature}: {seen}"


def _compare(case: tuple[Model, Complete, Language]) -> set[str]:
    """Compare one case; return its features."""
    model, action, language = case
    twin = _twin(model, action, language)
    nodes = _run(model, action)
    try:
        written = twin.run()
    except RefusedError:
        assert nodes is None
        return {"refused"}
    assert nodes is not None
    assert [(node.tokens, node.finish_reason) for node in nodes] == [
        (one.tokens, one.finish) for one in written
    ]
    for node in nodes:
        _check_node(twin, language, node)
    return {one.finish for one in written} | ({"beams"} if len(written) > 1 else set())


def _check_node(twin: ConstrainedSearch, language: Language, node: ThoughtNode) -> None:
    expected = twin.reader.logprobs(twin.base, node.tokens)
    masses = twin.allowed(node.tokens)
    assert node.logprobs == pytest.approx(expected, abs=NEAR)
    assert node.allowed == pytest.approx(masses, abs=NEAR)
    share = math.fsum(expected) - math.fsum(masses)
    assert node.constrained_logprob == pytest.approx(share, abs=NEAR)
    if node.finish_reason == "incomplete":
        assert node.pruned_by in ("incomplete", "duplicate")
    else:
        assert node.pruned_by != "incomplete"
        assert node.text.encode() in language.texts


def test_weighted_samples_estimate_the_distribution_given_the_constraint() -> None:
    """Local renormalization prefers texts whose beginnings fit; the weights correct that."""
    model = Model(SmallModel(7))
    action = Complete(
        uid="c",
        length=6,
        regex="a[ab]|b",
        samples=count(normal=400, soak=4000),
        width=None,
        importance_weights=True,
    )
    twin = _twin(model, action, Language(language_of("a[ab]|b"), []))
    exact: Counter[str] = Counter()
    for tokens, finish in twin.possible_texts():
        if finish == "eos":
            logprob = math.fsum(twin.reader.logprobs(twin.base, tokens))
            exact[twin.reader.surface(tokens).decode()] += math.exp(logprob)
    nodes = [node for node in _run(model, action) or () if node.pruned_by is None]
    assert {node.text for node in nodes} == set(exact)
    assert math.fsum(node.prob for node in nodes) == pytest.approx(1)
    local = Complete(uid="c", length=6, regex="a[ab]|b", samples=action.samples, width=None)
    frequencies = {node.text: node.prob for node in _run(model, local) or () if node.prob}
    for node in nodes:
        right = exact[node.text] / exact.total()
        assert node.prob_error is not None
        assert abs(node.prob - right) < 4.5 * node.prob_error
        assert frequencies[node.text] != pytest.approx(node.prob, abs=1e-3)
    # What the samples are drawn from is another distribution, and not by a little.
    assert max(abs(frequencies[text] - exact[text] / exact.total()) for text in exact) > 0.05


def test_samples_that_length_cuts_weigh_nothing() -> None:
    model = Model(SmallModel(3))
    action = Complete(
        uid="c", length=3, regex="[ab]+", samples=40, width=None, importance_weights=True
    )
    nodes = _run(model, action) or []
    assert {node.finish_reason for node in nodes} == {"eos", "length"}
    for node in nodes:
        if node.finish_reason == "length" and node.pruned_by is None:
            others = [one for one in nodes if one.text == node.text and one is not node]
            assert node.prob == 0 or any(one.finish_reason == "eos" for one in others)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_completions_of_models_equal_those_of_automata(temperature: float) -> None:
    model = Model(SmallModel(11))
    arguments: dict[str, Any] = {"regex": "a(b|é)+", "stop": ("\n", ".")}
    sampled = {"samples": 3, "seed": 5} if temperature else {}
    nodes = _run(model, Complete(uid="c", length=8, width=None, **arguments, **sampled)) or []
    completion = model.complete(
        "b",
        max_tokens=8,
        temperature=temperature,
        n=3 if temperature else 1,
        seed=5,
        **arguments,
    )
    found = [completion, *completion.alternatives]
    assert [(one.tokens, one.finish_reason) for one in found] == [
        (node.tokens, node.finish_reason) for node in nodes
    ]
    for one, node in zip(found, nodes, strict=True):
        assert one.logprobs == pytest.approx(node.logprobs, abs=NEAR)
        assert one.allowed == pytest.approx(node.allowed, abs=NEAR)
        assert one.constrained_logprob == pytest.approx(node.constrained_logprob, abs=NEAR)
    pieces = model.stream("b", max_tokens=8, temperature=temperature, seed=5, **arguments)
    assert "".join(pieces) == completion.text


def test_one_token_left_needs_no_decision() -> None:
    """Forced tokens are scored in the model call of the next decision."""
    model = Model(SmallModel(2))
    automaton = Automaton(
        [
            Text(uid="t", text="b", successors=("c",)),
            Complete(uid="c", length=9, regex="1[.]1[.][ab]", eos=False),
        ]
    )
    tree = automaton.run(model)
    (node,) = (node for node in tree.nodes if node.uid == "c")
    assert node.text[:4] == "1.1."
    # One call decides the first of "a", "b": before it, every mask holds one token.
    assert tree.stats["model_calls"] == 1
    assert node.constrained_logprob == pytest.approx(node.logprobs[-1] - node.allowed[-1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"regex": "(?=a)b"}, "look-ahead"),
        ({"regex": r"[^\s\S]"}, "allows no text"),
        ({"grammar": "start: nothing"}, "nothing"),
        ({"json_schema": {"type": "integer", "minimum": 5, "maximum": 3}}, "minimum"),
        ({"regex": "a" * 300_000}, "300,000 characters"),
        ({"grammar": "start: r0\n" + "".join(f"r{i}: r{i + 1}\n" for i in range(9000))}, "rules"),
    ],
)
def test_constraints_that_cannot_be_met(arguments: dict[str, Any], message: str) -> None:
    model = Model(SmallModel(2))
    with pytest.raises(InputError, match=message):
        model.complete("b", **arguments)
    assert model.complete("b", regex="a").text == "a"


def test_models_that_cannot_serve_constraints() -> None:
    action = Complete(uid="c", length=3, regex="a+")
    with pytest.raises(CapabilityError, match=r'action "c": its regex needs .* a vocabulary'):
        Automaton([Text(uid="t", text="b", successors=("c",)), action]).run(Model(Plain()))
    with pytest.raises(CapabilityError, match=r"complete: its regex needs .* a vocabulary"):
        Model(Plain()).complete("b", regex="a+")
    with pytest.raises(InputError, match="its regex and the model's vocabulary leave nothing"):
        Model(SmallModel(2)).complete("b", regex="€")


def test_the_cache_of_constraints_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_masks, "MAX_CACHED_CHARACTERS", 100)
    model = Model(SmallModel(2))
    values = token_masks.TokenMaskCache.for_model(model.client)._values
    sizes = []
    for letters in ("a" * 60, "b" * 40, "a" * 60, "ab" * 10, "b" * 300):
        model.complete("b", regex=letters, max_tokens=1)
        sizes.append(sum(len(key[1].source) for key in values if key[0] == "constraint"))
    assert sizes == [60, 100, 100, 20, 300]
