"""The search for the best choices, against the scores of the whole tree."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest

from autocog_core import EOS, Choice, ChoiceScores, InputError, Model, TopChoices
from autocog_core.types.choice import NORMS, SCORE_FIELD_OF_NORM
from tests.support.small_backends import random_model, table_model
from tests.support.soak import count

pytestmark = pytest.mark.filterwarnings("ignore::autocog_core.AutocogWarning")
ALPHABETS = ("ab", "abc", "0123456789", " etaoin")


def draw_choices(generator: random.Random) -> list[str]:
    """Return different texts with many shared beginnings; some begin others."""
    alphabet = generator.choice(ALPHABETS)
    texts = {""}
    for _ in range(generator.randint(1, 60)):
        start = generator.choice(sorted(texts))
        texts.add(start + "".join(generator.choices(alphabet, k=generator.randint(1, 4))))
    texts.discard("")
    choices = sorted(texts)
    generator.shuffle(choices)
    return choices


def draw_model(generator: random.Random) -> Model:
    kind = generator.choice(["random", "ties", "table", "merges"])
    if kind == "random":
        return random_model(seed=generator.randrange(1000))
    if kind == "ties":
        # The same row after every text: texts of equal letters have equal scores.
        return table_model({})
    rows: dict[str, dict[str, float]] = {}
    for text in ("Q", "Qa", "Qab", "Qb", "Q1", "Q12", "Q "):
        tokens = generator.sample(["a", "b", "c", "1", "2", " ", "e", "t", "<|eos|>"], k=4)
        rows[text] = {token: generator.choice([0.0, 0.1, 0.2, 0.25]) for token in tokens}
    if kind == "merges":
        merged = ({"1": 0.3, "10": 0.1, "100": 0.1, "2": 0.25}, {"<|eos|>": 0.1, "0": 0.5})
        return table_model(dict(zip(("Q", "Q1"), merged, strict=True)), vocabulary="merges")
    return table_model(rows)


def score_of(scores: ChoiceScores, index: int) -> float:
    return float(getattr(scores.scores[index], SCORE_FIELD_OF_NORM[scores.norm]))


def assert_part_equals_whole(part: TopChoices, whole: ChoiceScores, top: int) -> None:
    ranked = sorted(range(len(whole.scores)), key=lambda i: (-score_of(whole, i), i))
    assert [each.index for each in part.top] == ranked[:top]
    assert part.proven
    for each in part.top:
        expected = whole.scores[each.index]
        for name in ("choice", "value", "tokens", "token_logprobs", "logprob", "pmi"):
            assert getattr(each, name) == getattr(expected, name), name
        for name in ("exclusive_logprob", "mean_logprob", "logprob_per_byte"):
            assert getattr(each, name) == getattr(expected, name), name
        assert each.score == score_of(whole, each.index)
        assert each.prob_bounds[0] <= expected.prob <= each.prob_bounds[1]
        assert each.prob in (None, expected.prob)
    for index, bound in enumerate(part.score_bounds):
        assert bound >= score_of(whole, index)
    names = ("norm", "boundary", "healed_text", "has_prefix_choices", "unconditional_prompt")
    for name in names:
        assert getattr(part, name) == getattr(whole, name), name
    assert part.nodes_read is not None
    assert part.nodes is not None
    is_whole = part.nodes_read == part.nodes
    assert part.nodes_read <= part.nodes
    assert [part.prob is None, part.entropy is None, bool(part.reason)] == [not is_whole] * 3
    if is_whole:
        assert (part.entropy, part.margin) == (whole.entropy, whole.margin)


@pytest.mark.parametrize("block", range(4))
def test_the_best_choices_of_drawn_trees_are_those_of_the_whole_tree(block: int) -> None:
    for number in range(count(20, 500)):
        generator = random.Random(f"{block} {number}")
        model, choices = draw_model(generator), draw_choices(generator)
        top = generator.choice([1, 1, 2, 3, 100])
        options: dict[str, Any] = {
            "norm": generator.choice(NORMS),
            "suffix": generator.choice([None, None, "\n", EOS]),
        }
        if options["norm"] == "pmi":
            options["unconditional_prompt"] = "Any: "
        goals: dict[str, Any] = generator.choice(
            [{}, {"within": 0.0}, {"within": 0.05}, {"at_least": 0.5}, {"at_least": 0.01}]
        )
        whole = model.choose("Q", choices, **options)
        part = model.choose("Q", choices, top=top, **goals, **options)
        assert_part_equals_whole(part, whole, top)
        if "within" in goals:
            for each in part.top:
                assert each.prob_bounds[1] - each.prob_bounds[0] <= goals["within"]
        if "at_least" in goals:
            assert part.is_at_least is (whole.best.prob >= goals["at_least"])
        else:
            assert part.is_at_least is None


def test_steps_of_several_prompts_are_one_call() -> None:
    model = random_model(seed=3)
    choices = [f" {number}" for number in range(300)]
    prompts = ["One", "Two and", "Three", "Four or"]
    calls: list[int] = []

    def count_call(name: str, methods: object, arguments: dict[str, Any]) -> None:
        if name == "greedy_tree_impl":
            calls.append(len(arguments["queries"]))

    undo = model.client._manager.add_hookcall_monitoring(count_call, lambda *_: None)
    together = model.choose_many(prompts, choices, top=2)
    undo()
    assert len(calls) == max(each.steps for each in together)
    assert sum(calls) == sum(each.nodes_read or 0 for each in together)
    alone = [model.choose(prompt, choices, top=2) for prompt in prompts]
    assert [each.top for each in together] == [each.top for each in alone]
    assert all(each.nodes_read < each.nodes for each in together if each.nodes_read and each.nodes)
    mixed = model.choose_many(prompts[:2], [choices, [" a", Choice(texts=[" b", " c"])]], top=1)
    assert mixed[0].index == together[0].index
    whole = model.choose(prompts[1], [" a", Choice(texts=[" b", " c"])])
    assert (mixed[1].index, mixed[1].prob) == (whole.index, whole.best.prob)


def test_answers_about_numbers_of_numpy_are_plain() -> None:
    choices = [" a", " b"]
    best = random_model().choose("Q", choices, top=1, within=np.float64(1), at_least=np.float64(0))
    assert best.is_at_least is True
    assert json.dumps(best.to_dict())


def test_wrong_arguments_are_named() -> None:
    model = random_model()
    for options, where in (
        ({"top": 0}, "top"),
        ({"top": True}, "top"),
        ({"top": 1.5}, "top"),
        ({"top": 1, "within": -0.1}, "within"),
        ({"top": 1, "at_least": 1.5}, "at_least"),
        ({"within": 0.1}, "within"),
        ({"at_least": 0.5}, "at_least"),
    ):
        with pytest.raises(InputError) as caught:
            model.choose("Q", [" a", " b"], **options)
        assert caught.value.where == where
    with pytest.raises(InputError, match="prompts\\[1\\]"):
        model.choose_many(["Q", "R"], [[" a", " b"], [" a", " a"]], top=1)
