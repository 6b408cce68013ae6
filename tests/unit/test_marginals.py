"""Marginals of fields, compared with sums over paths and over texts that are written out here."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from dataclasses import replace
from typing import Any

import pytest

from autocog_core import (
    Ask,
    Automaton,
    Budget,
    Choose,
    Complete,
    ForEach,
    Input,
    InputError,
    Model,
    Template,
    Text,
    ThoughtTree,
)
from autocog_core.backends.random import RandomLM
from autocog_core.backends.table import TableLM
from autocog_core.types.marginal import Marginal, MarginalValue
from tests.support.automata.contexts import check_contexts
from tests.support.automata.small_model import SmallModel

ANSWERS = (" yes", " no")


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(RandomLM(seed=3))


def sum_over_paths(tree: ThoughtTree, name: str) -> dict[Any, float]:
    """Return the marginal of a field that a path sets once, one path after the other."""
    sums: defaultdict[Any, float] = defaultdict(float)

    def follow(index: int, weight: float) -> None:
        node = tree.nodes[index]
        if node.kind == "beam":
            weight *= math.exp(node.logprob)
        elif node.kind in ("choice", "sample"):
            weight *= node.prob
        if node.name == name:
            sums[node.value] += weight
            return
        if node.last:
            sums[None] += weight
        for child in tree.children[index]:
            follow(child, weight)

    for first in tree.children[-1]:
        follow(first, 1.0)
    return dict(sums)


def check_sums(marginal: Marginal) -> None:
    """Check that the values are in order, and sum to 1 with what is unexplored."""
    probs = [entry.prob for entry in marginal]
    assert probs == sorted(probs, reverse=True)
    assert math.fsum([*probs, marginal.unexplored]) == pytest.approx(1.0, abs=1e-12)
    assert marginal.best is None or marginal.best is marginal.entries[0]


def reasoning(**options: Any) -> Automaton:
    """A reasoning, then an answer."""
    return Automaton(
        [
            Text(uid="question", text="Is it?", successors="thought"),
            Complete(uid="thought", name="thought", length=3, successors="so", **options),
            Text(uid="so", text=" So:", successors="answer"),
            Choose(uid="answer", name="answer", choices=ANSWERS, width=None),
        ]
    )


@pytest.mark.parametrize("threshold", [0.0, 0.3])
def test_a_choice_after_choices_is_the_sum_over_all_of_them(model: Model, threshold: float) -> None:
    program = Automaton(
        [
            Text(uid="start", text="Pick:", successors="first"),
            Choose(
                uid="first",
                choices=(" a", " b", " c"),
                width=None,
                threshold=threshold,
                successors=("second", "second", "third"),
            ),
            Choose(uid="second", name="answer", choices=ANSWERS, successors="third"),
            Choose(uid="third", name="end", choices=("!", "?", "."), width=None),
        ]
    )
    tree = program.run(model)
    marginal = tree.marginals("answer")
    check_sums(marginal)
    assert marginal.values == pytest.approx(sum_over_paths(tree, "answer"))
    assert set(marginal.values) == {"yes", "no", None}
    assert all(entry.standard_error is None for entry in marginal)
    if not threshold:
        # The second choice follows one answer alone, and one path passes it over.
        assert tree.marginals("end").unexplored > 0
        assert marginal.values[None] == pytest.approx(tree.nodes[3].prob)
    assert tree.marginals("end").values == pytest.approx(sum_over_paths(tree, "end"))


def test_beams_weigh_as_likely_as_they_are(model: Model) -> None:
    tree = reasoning(beams=4, width=None).run(model)
    marginal = tree.marginals("answer")
    check_sums(marginal)
    assert marginal.values == pytest.approx(sum_over_paths(tree, "answer"))
    beams = [node for node in tree.nodes if node.kind == "beam"]
    known = math.fsum(math.exp(node.logprob) for node in beams if node.pruned_by is None)
    assert marginal.unexplored == pytest.approx(1 - known)
    # Its own values are known whether the run follows them or not.
    narrow = reasoning(beams=4).run(model).marginals("thought")
    assert narrow.values == pytest.approx(tree.marginals("thought").values)


def test_all_texts_of_a_small_language() -> None:
    # All texts of up to two of a and b, enumerated by hand.
    start = "Q"
    rows = {
        start: {"a": 0.5, "b": 0.25, "<|eos|>": 0.25},
        f"{start}a": {"a": 0.125, "b": 0.625, "<|eos|>": 0.25},
        f"{start}b": {"a": 0.5, "<|eos|>": 0.5},
    }
    for index, text in enumerate(["", "a", "b", "aa", "ab", "ba"]):
        rows[f"{start}{text}="] = {"1": (index + 1) / 8, "0": 1 / 8, "2": (6 - index) / 8}
    expected: defaultdict[str, float] = defaultdict(float)

    def enumerate_texts(text: str, prob: float) -> None:
        if len(text) == 2:
            answer(text, prob)
            return
        for token, share in rows[start + text].items():
            if token == "<|eos|>":
                answer(text, prob * share)
            else:
                enumerate_texts(text + token, prob * share)

    def answer(text: str, prob: float) -> None:
        row = rows[f"{start}{text}="]
        total = row["0"] + row["1"]
        for choice in "01":
            expected[choice] += prob * row[choice] / total

    enumerate_texts("", 1.0)
    program = Automaton(
        [
            Text(uid="start", text=start, successors="text"),
            Complete(uid="text", length=2, beams=8, width=None, successors="is"),
            Text(uid="is", text="=", successors="digit"),
            Choose(uid="digit", name="digit", choices=("0", "1"), width=None),
        ]
    )
    tree = program.run(Model(TableLM(rows=rows)))
    marginal = tree.marginals("digit")
    check_sums(marginal)
    assert marginal.values == pytest.approx(dict(expected), abs=1e-5)
    assert marginal.unexplored == pytest.approx(0.0, abs=1e-5)


def test_samples_are_a_mean_with_its_standard_error(model: Model) -> None:
    program = reasoning(samples=40, temperature=0.15, width=None)
    tree = program.run(model)
    samples = [index for index, node in enumerate(tree.nodes) if node.kind == "sample"]
    by_text = {
        tree.nodes[index].text: sum_over_paths_after(tree, index)
        for index in samples
        if tree.nodes[index].pruned_by is None
    }
    drawn = [by_text[tree.nodes[index].text] for index in samples]
    assert 1 < len(by_text) < len(drawn) == 40
    marginal = tree.marginals("answer")
    check_sums(marginal)
    for entry in marginal:
        probs = [shares[entry.value] for shares in drawn]
        assert entry.prob == pytest.approx(statistics.mean(probs))
        error = statistics.stdev(probs) / math.sqrt(len(probs))
        assert entry.standard_error == pytest.approx(error)
    assert marginal.unexplored == 0
    lines = str(marginal).splitlines()
    assert len(lines) == 2
    assert all("±" in line for line in lines)
    one = reasoning(samples=1, width=None).run(model).marginals("answer")
    assert math.isnan(one.entries[0].standard_error or 0.0)
    assert one.to_dict()["values"][0]["standard_error"] is None


def sum_over_paths_after(tree: ThoughtTree, index: int) -> dict[Any, float]:
    """Return the shares of the answers after a sample."""
    (so,) = tree.children[index]
    return {tree.nodes[child].value: tree.nodes[child].prob for child in tree.children[so]}


def test_a_loop_counts_as_the_list_of_its_values(model: Model) -> None:
    program = Automaton(
        [
            Text(uid="item", text="-", max_visits=3, successors="kind"),
            Choose(uid="kind", name="kind", choices=("a", "b"), width=None, successors="more"),
            Choose(uid="more", choices=(",", "."), width=None, successors=("item", "close")),
            Choose(uid="close", name="close", choices=("!", "?")),
        ]
    )
    tree = program.run(model)
    marginal = tree.marginals("kind")
    check_sums(marginal)
    sums: defaultdict[Any, float] = defaultdict(float)
    # The choice after the loop follows one branch alone, and does not count.
    for node in tree.nodes:
        if node.name == "close":
            path = node.parent
            values: list[Any] = []
            weight = 1.0
            while path >= 0:
                before = tree.nodes[path]
                weight *= before.prob
                values += [before.value] if before.name == "kind" else []
                path = before.parent
            sums[tuple(reversed(values))] = weight
    assert marginal.values == pytest.approx(dict(sums))
    assert ("a",) in marginal.values
    assert len(max(marginal.values, key=lambda value: len(value or ()))) == 3
    # A fourth item would be a visit too many.
    cut = [node for node in tree.nodes if node.pruned_by == "max_visits"]
    assert len(cut) == 8
    assert 0 < marginal.unexplored < 0.5
    assert marginal.to_dict()["values"][0]["value"] == list(marginal.entries[0].value or ())
    again = ThoughtTree.from_dict(tree.to_dict())
    assert again.marginals("kind") == marginal


def test_the_questions_of_a_group_do_not_depend_on_each_other(model: Model) -> None:
    def question(name: str) -> list[Text | Choose]:
        return [
            Text(uid=f"{name}?", text=f"{name}?", successors=name),
            Choose(uid=name, name=name, choices=ANSWERS),
        ]

    program = Automaton(
        [
            Text(uid="start", text="A text.", successors="mood"),
            Choose(uid="mood", choices=(" good", " bad"), width=None, successors="ask"),
            Ask(
                uid="ask",
                questions=(tuple(question("price")), tuple(question("size"))),
                successors="then",
            ),
            Text(uid="then", text="\nSo", successors="end"),
            Choose(uid="end", name="end", choices=("!", "?"), width=None),
        ]
    )
    tree = program.run(model)
    for name in ("price", "size"):
        expected: defaultdict[Any, float] = defaultdict(float)
        moods = [index for index, node in enumerate(tree.nodes) if node.uid == "mood"]
        for index, node in enumerate(tree.nodes):
            if node.uid == name:
                mood = next(m for m in ancestors(tree, index) if m in moods)
                expected[node.value] += tree.nodes[mood].prob * node.prob
        marginal = tree.marginals(name)
        check_sums(marginal)
        assert marginal.values == pytest.approx(dict(expected))
        assert marginal.unexplored == pytest.approx(0.0, abs=1e-12)
    # After the group, the answers that the run followed count, and what they leave is unexplored.
    after = tree.marginals("end")
    check_sums(after)
    assert after.values == pytest.approx(sum_over_paths(tree, "end"))
    assert after.unexplored > 0


def ancestors(tree: ThoughtTree, index: int) -> list[int]:
    found = []
    while index >= 0:
        found.append(index)
        index = tree.nodes[index].parent
    return found


def test_each_item_of_a_group_has_its_own(model: Model) -> None:
    program = Automaton(
        [
            Text(uid="start", text="A text.", successors="ask"),
            Ask(
                uid="ask",
                name="labels",
                for_each=ForEach(items="labels", name="label"),
                questions=(
                    (
                        Text(uid="is", text=Template("Is it {{ label }}?"), successors="answer"),
                        Choose(uid="answer", name="answer", choices=ANSWERS),
                    ),
                ),
            ),
        ],
        inputs={"labels": Input(type="list")},
    )
    tree = program.run(model, {"labels": ["good", "new", "old"]})
    for label in ("good", "new", "old"):
        nodes = [node for node in tree.nodes if node.keys == (label,)]
        marginal = tree.marginals("labels", label)
        check_sums(marginal)
        assert marginal.values == pytest.approx({node.value: node.prob for node in nodes})
    with pytest.raises(InputError, match=r'marginals\("labels", "good"\)'):
        tree.marginals("labels")


def test_what_a_budget_cuts_is_unexplored(model: Model) -> None:
    program = Automaton(
        [
            Text(uid="start", text="Pick:", successors="first"),
            Choose(uid="first", choices=(" a", " b", " c"), width=None, successors="then"),
            Text(uid="then", text=" then", successors="answer"),
            Choose(uid="answer", name="answer", choices=ANSWERS, successors="end"),
            Text(uid="end", text="."),
        ]
    )
    whole = program.run(model)
    tree = program.run(model, budget=Budget(paths=5), order="best_first")
    assert tree.stopped_by == "paths"
    marginal = tree.marginals("answer")
    check_sums(marginal)
    assert marginal.values == pytest.approx(sum_over_paths(tree, "answer"))
    assert 0 < marginal.unexplored < 1
    for value, prob in marginal.values.items():
        assert prob < whole.marginals("answer").values[value]


def test_marginals_that_nobody_knows(model: Model) -> None:
    tree = reasoning(samples=30, width=2).run(model)
    with pytest.raises(InputError, match="width: null"):
        tree.marginals("answer")
    # The samples themselves are all there.
    assert tree.marginals("thought").unexplored == 0
    with pytest.raises(InputError, match='did you mean "answer"'):
        tree.marginals("anwser")
    with pytest.raises(InputError, match="leave out the keys"):
        tree.marginals("answer", "yes")
    nodes = tuple(replace(node, kind=None) for node in tree.nodes)
    with pytest.raises(InputError, match="an earlier version saved it"):
        ThoughtTree(nodes=nodes).marginals("thought")


def constrained(**options: Any) -> Automaton:
    """A number, then a choice about it."""
    return Automaton(
        [
            Text(uid="start", text="n=", successors="number"),
            Complete(
                uid="number", name="number", length=3, regex="[0-3]{1,2}", followed_by=";",
                successors="is", **options,
            ),
            Text(uid="is", text="; big?", successors="answer"),
            Choose(uid="answer", name="answer", choices=ANSWERS, width=None),
        ]
    )  # fmt: skip


def test_constrained_texts_weigh_as_likely_as_under_their_constraint(model: Model) -> None:
    # All 4 numbers of one digit and all 16 of two, of which each ends with a semicolon.
    tree = constrained(beams=20, width=None).run(model)
    number = tree.marginals("number")
    check_sums(number)
    beams = {node.value: node for node in tree.nodes if node.kind == "beam"}
    assert len(beams) == 20
    for value, prob in number.values.items():
        assert prob == pytest.approx(math.exp(beams[value].constrained_logprob or 0.0))
    assert number.unexplored == pytest.approx(0.0, abs=1e-5)
    answer = tree.marginals("answer")
    check_sums(answer)
    shares = {node.parent: node for node in tree.nodes if node.value == "yes"}
    expected = 0.0
    for parent, node in shares.items():
        before = tree.nodes[tree.nodes[parent].parent]
        expected += number.values[before.value] * node.prob
    assert answer.values["yes"] == pytest.approx(expected)
    list(check_contexts(constrained(beams=20, width=None), {None: model}, tree))


def test_importance_weights_are_weights_and_have_their_errors(model: Model) -> None:
    program = constrained(samples=30, importance_weights=True, width=None)
    tree = program.run(model)
    nodes = {node.value: node for node in tree.nodes if node.prob_error is not None}
    for entry in tree.marginals("number"):
        if entry.value in nodes:
            assert entry.prob == pytest.approx(nodes[entry.value].prob)
            assert entry.standard_error == pytest.approx(nodes[entry.value].prob_error)
    answer = tree.marginals("answer")
    check_sums(answer)
    assert answer.values == pytest.approx(sum_over_paths(tree, "answer"))
    assert len(nodes) > 1
    list(check_contexts(program, {None: model}, tree))


@pytest.mark.parametrize("is_weighted", [False, True])
def test_errors_of_texts_in_several_spellings(is_weighted: bool) -> None:
    """Also of texts that one sample ends, and that another one cannot end for want of a token."""
    program = Automaton(
        [
            Text(uid="start", text="b", successors="text"),
            Complete(
                uid="text", name="text", length=2, regex="[ab]{1,2}", followed_by="a",
                samples=30, width=None, importance_weights=is_weighted, successors="answer",
            ),
            Choose(uid="answer", name="answer", choices=("a", "b"), width=None),
        ]
    )  # fmt: skip
    tree = program.run(Model(SmallModel(4)))
    samples = [(index, node) for index, node in enumerate(tree.nodes) if node.kind == "sample"]
    texts = [(node.text, node.finish_reason == "incomplete") for _, node in samples]
    assert {("ab", True), ("ab", False)} <= set(texts)
    weights = [
        math.exp(sum(node.allowed)) * (node.finish_reason == "stop") if is_weighted else 1.0
        for _, node in samples
    ]
    weights = [weight / math.fsum(weights) for weight in weights]
    answers: dict[Any, dict[Any, float]] = defaultdict(dict)
    for node in tree.nodes:
        if node.name == "answer":
            parent = tree.nodes[node.parent]
            answers[parent.text, False][node.value] = node.prob
    for entry in tree.marginals("answer"):
        shares = [answers.get(text, {}).get(entry.value, 0.0) for text in texts]
        mean = math.fsum(map(math.prod, zip(weights, shares, strict=True)))
        squares = math.fsum(
            weight**2 * (share - mean) ** 2 for weight, share in zip(weights, shares, strict=True)
        )
        factor = 1.0 if is_weighted else len(samples) / (len(samples) - 1)
        assert entry.prob == pytest.approx(mean)
        assert entry.standard_error == pytest.approx(math.sqrt(squares * factor))
    if is_weighted:
        errors = {node.text: node.prob_error for _, node in samples if node.prob_error is not None}
        for entry in tree.marginals("text"):
            assert entry.standard_error == pytest.approx(errors[entry.value])


def test_values_that_are_no_keys_of_their_own() -> None:
    def values(*entries: Any) -> dict[Any, float]:
        return Marginal(
            name="x", entries=tuple(MarginalValue(value=value, prob=0.25) for value in entries)
        ).values

    assert values({"a": "é"}, [2]) == {'{"a": "é"}': 0.25, "[2]": 0.25}
    assert values(1, True, (1, 2)) == {1: 0.5, (1, 2): 0.25}


def test_texts_that_do_not_meet_their_constraint_are_unexplored() -> None:
    model = Model(SmallModel(4))

    def text(uid: str, **options: Any) -> Complete:
        return Complete(uid=uid, name=uid[0], regex="[ab]{2}", followed_by="é", **options)

    start = Text(uid="start", text="b", successors="a")
    # Beams of one text in several spellings, of which none is complete.
    tree = Automaton([start, text("a", length=2, beams=4, width=None)]).run(model)
    assert "duplicate" in {node.pruned_by for node in tree.nodes}
    assert {node.finish_reason for node in tree.nodes[1:]} == {"incomplete"}
    assert tree.marginals("a").entries == ()
    assert tree.marginals("a").unexplored == 1
    # A group goes on with its other questions.
    first = (text("a1", length=8, successors="a2"), text("a2", length=1))
    other = (Choose(uid="b", name="b", choices=("a", "b")),)
    ask = Ask(uid="a", questions=(first, other))
    tree = Automaton([start, ask]).run(model)
    assert [node.finish_reason for node in tree.nodes if node.name == "a"] == ["stop", "incomplete"]
    assert tree.marginals("a").entries == ()
    assert tree.marginals("b").unexplored == 0
