"""Choices with several texts: their scores are sums over texts, each from plain forward passes."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from autocog_core import EOS, Automaton, Choice, ChoiceScores, Choose, InputError, Text, hookimpl
from autocog_core.backends.random import RandomLM
from autocog_core.evaluation.evaluation import Strategy
from autocog_core.model.model import Model
from tests.support import reference_scores
from tests.support.small_backends import random_model
from tests.support.soak import count

PARTS = [" yes", " no", " y", "es", "no", " maybe", ", sir", "!", "1", "0"]


class LowerCaseLM(RandomLM):
    """A backend whose tokenizer has no upper case, so that different texts have equal tokens."""

    def tokenize_impl(self, texts: Any, at_start: bool, parse_special: bool) -> Any:
        return super().tokenize_impl([text.lower() for text in texts], at_start, parse_special)


class PickingBackend(RandomLM):
    """A backend that picks the second of the texts, without log-probabilities of text."""

    @hookimpl
    def choose(self, request: Any) -> ChoiceScores:
        result = Model(RandomLM()).client.choose(request)
        scores = tuple(
            replace(score, prob=float(index == 1)) for index, score in enumerate(result.scores)
        )
        return replace(result, scores=scores, index=1, exact=False, method="pick", reason="picks")


def draw_choices(generator: random.Random) -> list[Choice]:
    """Return choices whose texts often begin other texts, of the same choice or of another."""
    drawn = ["".join(generator.choices(PARTS, k=generator.randint(1, 3))) for _ in range(12)]
    texts = list(dict.fromkeys([*drawn, drawn[0] + drawn[1], drawn[2] + drawn[0]]))
    generator.shuffle(texts)
    choices: list[Choice] = []
    while texts:
        size = generator.randint(1, 4)
        choices.append(Choice(texts=texts[:size], value=len(choices)))
        texts = texts[size:]
    return choices


def slow_scores(
    model: Model, prompt: str, choices: list[Choice], suffix: str | None, eos: tuple[int, ...]
) -> list[list[reference_scores.ReferenceScore]]:
    """Return the scores of each choice's texts, by one forward pass for each token."""
    texts = [str(text) for choice in choices for text in choice.texts]
    start = (model.info.bos,) if model.info.adds_bos and model.info.bos is not None else ()
    fixed = [*start, *model.tokenize(prompt)]
    joint = [[*start, *model.tokenize(prompt + text + (suffix or ""))] for text in texts]
    base, decided = reference_scores.shared_base(fixed, joint)
    rows: dict[tuple[int, ...], Any] = {}

    def row(ids: tuple[int, ...]) -> Any:
        if ids not in rows:
            rows[ids] = model.client.greedy(list(ids)).copy()
        return rows[ids]

    found = iter(reference_scores.score(row, base, decided, [1] * len(decided), eos=eos))
    return [[next(found) for _ in choice.texts] for choice in choices]


@pytest.mark.parametrize("suffix", [None, "\n", EOS], ids=["none", "text", "eos"])
def test_a_choice_has_the_sum_of_its_texts(suffix: Any) -> None:
    for seed in range(count(normal=8, soak=150)):
        generator = random.Random(seed)
        model = random_model(vocabulary="merges", seed=seed % 5)
        choices = draw_choices(generator)
        prompt = generator.choice(["Is it?", "Is it? ", "1"])
        ends = model.info.eos if suffix is EOS else ()
        expected = slow_scores(model, prompt, choices, None if suffix is EOS else suffix, ends)
        result = model.choose(prompt, choices, suffix=suffix)
        sums = [math.fsum(math.exp(text.exclusive) for text in texts) for texts in expected]
        for score, texts, total in zip(result.scores, expected, sums, strict=True):
            assert math.exp(score.exclusive_logprob) == pytest.approx(total, rel=1e-4)
            assert score.prob == pytest.approx(total / math.fsum(sums), rel=1e-4)
            likeliest = max(texts, key=lambda text: text.exclusive)
            assert score.logprob == pytest.approx(likeliest.logprob, abs=1e-4)
            assert math.fsum(text.prob for text in score.texts) == pytest.approx(
                score.prob if score.texts else 0.0
            )
        assert result.index == int(np.argmax(sums))
        assert result.value == result.index
        json.dumps(result.to_dict(), allow_nan=False)

        program = [
            Text(uid="t", text=prompt, successors="c"),
            Choose(uid="c", name="c", choices=choices, suffix=suffix, width=2, successors="e"),
            Text(uid="e", text=".", evaluate=True),
        ]
        trees = [
            Automaton(program).run(model, strategy=strategy) for strategy in ("token_tree", "text")
        ]
        for tree in trees:
            nodes = [node for node in tree.nodes if node.uid == "c"]
            assert [node.prob for node in nodes] == [score.prob for score in result.scores]
            assert [node.value for node in nodes] == list(range(len(choices)))
            assert [node.text for node in nodes] == [score.choice for score in result.scores]
            assert [node.logprobs for node in nodes] == [
                score.token_logprobs for score in result.scores
            ]
            followed = {node.value for node in nodes if node.pruned_by is None}
            assert followed == set(sorted(range(len(sums)), key=lambda i: -sums[i])[:2])
        assert [node.path_logprob for node in trees[0].nodes] == pytest.approx(
            [node.path_logprob for node in trees[1].nodes]
        )


def test_many_prompts_have_the_scores_of_each() -> None:
    model = random_model(seed=2)
    choices = [Choice(texts=[" a", " b"], value="ab"), " c"]
    prompts = ["One", "Two", "Three"]
    assert model.choose_many(prompts, choices) == [
        replace(model.choose(prompt, choices)) for prompt in prompts
    ]


@pytest.mark.parametrize("strategy", ["token_tree", "text"])
def test_texts_of_a_choice_with_equal_tokens_count_once(strategy: Strategy) -> None:
    model = Model(LowerCaseLM())
    choices = [Choice(texts=[" Yes", " yes", " ok"], value=True), Choice(" No", value=False)]
    result = model.choose("Is it?", choices)
    once = model.choose("Is it?", [" yes", " ok", " no"])
    assert result.best.prob == pytest.approx(
        max(once.scores[0].prob + once.scores[1].prob, once.scores[2].prob)
    )
    assert len(result.scores[0].texts) == 2
    program = Automaton(
        [Text(uid="t", text="Is it?", successors="c"), Choose(uid="c", choices=choices)]
    )
    tree = program.run(model, strategy=strategy)
    assert [node.prob for node in tree.nodes[1:]] == [score.prob for score in result.scores]
    with pytest.raises(InputError, match="have the same tokens") as raised:
        model.choose("Is it?", [" no", Choice(texts=[" Yes", " ok"]), " YES"])
    assert raised.value.where == "choices 1 and 2"


def test_a_pick_of_a_text_is_a_pick_of_its_choice() -> None:
    model = Model(PickingBackend())
    choices = [Choice(texts=[" a", " b"], value="first"), " c"]
    result = model.choose("Is it?", choices)
    assert (result.value, result.choice, result.best.prob) == ("first", " b", 1.0)
    program = Automaton(
        [Text(uid="t", text="Is it?", successors="c"), Choose(uid="c", choices=choices)]
    )
    picked, other = program.run(model, strategy="text").nodes[1:]
    assert (picked.text, picked.value, picked.prob, picked.exact) == (" b", "first", 1.0, False)
    assert (other.prob, other.pruned_by) == (0.0, "width")


@pytest.mark.parametrize(
    ("choices", "norm", "message"),
    [
        ([Choice(texts=[" a", " b"]), " c"], "mean", 'norm: "mean" does not rank choices'),
        (
            [Choice(" a", value=1), Choice(" b", value=True)],
            "sum",
            "choice 1: has the value 'true'",
        ),
        ([Choice(" a", value=1), Choice(" b", value="1")], "sum", "choice 1: has the value '1'"),
        ([Choice(" a", value="b"), " b"], "sum", "choice 1: has the value 'b'"),
        ([Choice(" a", value=[1]), " b"], "sum", "choice 0: has a value of type list"),  # type: ignore[arg-type]
        ([Choice(" a", value=math.inf), " b"], "sum", "choice 0: has the value inf"),
        ([Choice(texts=[" a", " b"]), " b"], "sum", "choice 1: ' b' was given before"),
        ([Choice(texts=[" a", ""]), " b"], "sum", "choice 0: is empty"),
        ([Choice(" a", value=1), 7], "sum", "choice 1: got int"),
    ],
)
def test_wrong_choices_are_refused_alike_in_calls_and_programs(
    choices: Any, norm: Any, message: str
) -> None:
    with pytest.raises(InputError) as raised:
        random_model().choose("Is it?", choices, norm=norm)
    assert message in str(raised.value)
    program = Automaton(
        [Text(uid="t", text="Is it?", successors="c"), Choose(uid="c", choices=choices, norm=norm)]
    )
    (error,) = program.errors()
    assert error.where == 'action "c"'


def test_a_choice_has_one_text_or_several() -> None:
    for arguments in ({}, {"text": " a", "texts": [" b"]}, {"texts": "ab"}, {"texts": []}):
        with pytest.raises(InputError, match="either `text` or a list of `texts`"):
            Choice(**arguments)
    assert Choose(uid="c", choices=(Choice(" a"), " b")).choices == (" a", " b")


def test_values_of_rows_keep_their_type_and_programs_survive_being_written() -> None:
    program = Automaton.from_dict(
        {
            "inputs": {"labels": "list"},
            "actions": [
                {"text": "Is it?"},
                {
                    "name": "label",
                    "choices": [
                        {
                            "each": "labels",
                            "texts": [" {{ item.name }}", " {{ item.name | upper }}"],
                            "value": "{{ item.id }}",
                        },
                        {"texts": [" none", {"literal": " {{ none }}"}], "value": "none"},
                    ],
                    "width": None,
                },
            ],
        }
    )
    assert Automaton.from_dict(program.to_dict()) == program
    labels = [{"name": "a", "id": 7}, {"name": "b", "id": True}, {"name": "c", "id": "{{ x }}"}]
    bound = program.bind({"labels": labels})
    assert Automaton.from_dict(bound.to_dict()) == bound
    tree = program.run(random_model(), {"labels": labels})
    assert [node.value for node in tree.nodes[1:]] == [7, True, "{{ x }}", "none"]
    assert tree.fields["label"] in (7, True, "{{ x }}", "none")
    with pytest.raises(InputError, match="the value of item 0 is"):
        program.run(random_model(), {"labels": [{"name": "a", "id": None}]})
    with pytest.raises(InputError, match="has the value '7'"):
        program.run(random_model(), {"labels": [labels[0], {"name": "b", "id": "7"}]})


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"text": " a", "value": None}, "expected a text, number or boolean"),
        ({"text": " a", "value": [1]}, "expected a text, number or boolean"),
        ({"text": " a", "value": "{{ q }}"}, 'only beside "each" it may be a template'),
        ({"text": " a", "texts": [" b"]}, 'expected one of "text", "literal" and "texts"'),
        ({"texts": []}, "texts"),
        ({"value": 1}, 'expected either "text" or "literal"'),
    ],
)
def test_wrong_choices_of_files_are_named(choice: Any, message: str) -> None:
    data = {"actions": [{"text": "Is it?"}, {"choices": [choice, " other"]}]}
    with pytest.raises(InputError) as raised:
        Automaton.from_dict(data)
    assert message in str(raised.value)
