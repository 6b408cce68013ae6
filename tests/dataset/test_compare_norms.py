"""All norms of a choice from one evaluation, compared with one run for each norm."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from autocog_core import EOS, Ask, Automaton, Choice, Choose, InputError, Text
from autocog_core.automaton import Each, Input, Template
from autocog_core.dataset import Gold, Row, Run, compare_norms
from autocog_core.dataset.expected import find_right_choice
from autocog_core.dataset.norm_comparison import NormResult, mcnemar_p_value, recommend
from autocog_core.types.choice import NORMS
from tests.support.small_backends import random_model

LISTS = (["Paris", "the", "ab", "10"], ["a", "ab", "abab"], ["1", "10", "100"])
ROWS = [
    Row(index, {"q": f"Row {index}?", "list": items, "right": items[index % 2]})
    for index, items in enumerate(LISTS * 4)
]


def program(norm: Any = "sum", suffix: Any = None, tail: str = "\nA=") -> Automaton:
    return Automaton(
        [
            Text(uid="ask", text=Template("Q: {{ q }}" + tail), successors=("answer",)),
            Choose(
                uid="answer",
                name="answer",
                choices=(Each("list", "{{ item }}" if tail[-1:] == " " else " {{ item }}"),),
                norm=norm,
                suffix=suffix,
                width=None,
            ),
        ],
        inputs={"q": Input(), "list": Input("list")},
    )


@pytest.mark.parametrize(
    ("bos", "suffix", "tail", "strategy"),
    [
        (False, None, "\nA=", None),
        (False, ".", "\nA= ", "text"),
        (True, EOS, "", None),
    ],
)
def test_one_evaluation_equals_a_run_with_each_norm(
    bos: bool, suffix: Any, tail: str, strategy: Any
) -> None:
    model = random_model(seed=3, vocabulary="merges", bos=bos)
    gold = Gold("answer", "right")
    run = Run(program("mean", suffix, tail), model, gold=gold, strategy=strategy, concurrency=5)
    comparison = compare_norms(run, ROWS)
    assert (comparison.rows, comparison.answered, comparison.errors) == (12, 12, 0)
    assert not comparison.unavailable
    # Where the boundary is healed, the blank is decided again.
    expected_prompts = {""} if bos else {tail, tail.rstrip(" ")}
    assert set(comparison.unconditional_prompts) == expected_prompts
    assert sum(comparison.unconditional_prompts.values()) == 12
    right_by_norm = {}
    for norm, result in zip(NORMS, comparison.results, strict=True):
        rights, losses, briers = [], [], []
        for row in ROWS:
            automaton = program(norm, suffix, tail)
            # Every choice is the end of a path; the best of them is that of the norm.
            tree = automaton.run(model, row.values, strategy=strategy)
            nodes = tree.nodes[1:]
            best = max(nodes, key=lambda node: node.prob)
            value = find_right_choice([node.value for node in nodes], row.values["right"])
            rights.append(best.value == value)
            losses.append(-math.log(next(node.prob for node in nodes if node.value == value)))
            briers.append((best.prob - rights[-1]) ** 2)
        right_by_norm[norm] = rights
        assert result.norm == norm
        assert result.right == sum(rights)
        assert result.log_loss == pytest.approx(sum(losses) / 12)
        assert result.brier == pytest.approx(sum(briers) / 12)
        pairs = list(zip(rights, right_by_norm["sum"], strict=True))
        assert (result.gained, result.lost) == (
            pairs.count((True, False)),
            pairs.count((False, True)),
        )
    assert comparison.to_dict()["results"][0]["norm"] == "sum"


def test_rows_without_an_answer_with_errors_and_with_impossible_answers_are_counted() -> None:
    rows = [
        ROWS[0],
        replace(ROWS[1], values={**ROWS[1].values, "right": None}),
        replace(ROWS[2], values={**ROWS[2].values, "right": "none of them"}),
        replace(ROWS[3], values={"right": "a"}),
        Row(4, error=InputError("is no JSON")),
    ]
    counts: list[tuple[int, int]] = []
    run = Run(program(), random_model(seed=3), gold=Gold("answer", "right"))
    comparison = compare_norms(run, rows, on_row=lambda *count: counts.append(count))
    assert (comparison.rows, comparison.answered, comparison.errors) == (5, 2, 2)
    assert comparison.impossible == 1
    assert comparison.chance == pytest.approx(1 / 8)
    assert comparison.first_error.startswith("row 3: ")
    assert counts[-1] == (5, 2)
    nothing = compare_norms(run, [])
    assert nothing.recommended is None
    assert "right answer" in nothing.reason


def test_pmi_without_a_prompt_is_left_out_and_says_why() -> None:
    model = random_model(seed=3, bos=False)
    comparison = compare_norms(Run(program(tail=""), model, gold=Gold("answer", "right")), ROWS)
    assert [result.norm for result in comparison.results] == ["sum", "mean", "per_byte"]
    assert "unconditional_prompt" in comparison.unavailable["pmi"]


def test_a_field_that_is_no_choice_is_an_error() -> None:
    run = Run(program(), random_model(), gold=Gold("ask", "right"))
    with pytest.raises(InputError, match="no choice"):
        compare_norms(run, ROWS)
    with pytest.raises(InputError, match="gold"):
        compare_norms(Run(program(), random_model()), ROWS)


def test_a_field_of_a_group_equals_the_same_choice_without_the_group() -> None:
    text, choose = program().actions
    assert isinstance(choose, Choose)
    first = (Text(uid="t", text="?", successors=("u",)), Choose(uid="u", choices=("a", "b")))
    group = Ask(uid="group", questions=(first, (replace(choose, width=1),)))
    asked = Automaton([replace(text, successors=("group",)), group], inputs=program().inputs)
    model = random_model(seed=3, bos=False)
    found, expected = (
        compare_norms(Run(automaton, model, gold=Gold("answer", "right")), ROWS)
        for automaton in (asked, program())
    )
    assert found.to_dict() == expected.to_dict()
    assert len(found.results) == len(NORMS)


def test_choices_with_several_texts_from_the_row_are_refused_too() -> None:
    texts = ("{{ item }}", "{{ item }}!")
    text, choose = program().actions
    assert isinstance(choose, Choose)
    for choice in (Each("list", texts=texts), Choice(texts=list(map(Template, texts)))):
        run = Run(
            Automaton([text, replace(choose, choices=(choice,))], inputs=program().inputs),
            random_model(),
            gold=Gold("answer", "right"),
        )
        with pytest.raises(InputError, match="several texts"):
            compare_norms(run, ROWS)


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (5, 5), (12, 2), (3, 40), (90, 80)])
def test_the_p_value_is_that_of_a_binomial_test(gained: int, lost: int) -> None:
    count = gained + lost
    # All outcomes that are not likelier than this one.
    ways = [math.comb(count, k) for k in range(count + 1)]
    unlikelier = sum(number for number in ways if number <= math.comb(count, gained))
    expected = Fraction(unlikelier, 2**count)
    assert mcnemar_p_value(gained, lost) == pytest.approx(float(expected))


@pytest.mark.parametrize(
    ("changes", "recommended", "words"),
    [
        ({"mean": (2, 1), "pmi": (3, 2)}, "sum", "beyond chance"),
        ({"mean": (1, 2), "pmi": (2, 2)}, "sum", "no norm is right more often"),
        ({"mean": (20, 2), "pmi": (3, 2)}, "mean", "gains 20 rows"),
        ({"mean": (20, 2), "pmi": (25, 1)}, "pmi", "gains 25 rows"),
        # It is right most often, but not beyond chance; the other one is.
        ({"mean": (20, 2), "pmi": (120, 100)}, "mean", "gains 20 rows"),
        ({}, "sum", "no other norm"),
    ],
)
def test_a_norm_is_recommended_only_beyond_chance(
    changes: dict[Any, tuple[int, int]], recommended: str, words: str
) -> None:
    def result(norm: Any, gained: int, lost: int, p_value: float | None) -> NormResult:
        return NormResult(
            norm=norm,
            right=200 + gained - lost,
            accuracy=0.5,
            interval=(0.4, 0.6),
            log_loss=1.0,
            calibration_error=0.1,
            brier=0.1,
            gained=gained,
            lost=lost,
            p_value=p_value,
        )

    others = [result(norm, *change, mcnemar_p_value(*change)) for norm, change in changes.items()]
    norm, reason = recommend((result("sum", 0, 0, None), *others))
    assert norm == recommended
    assert words in reason
