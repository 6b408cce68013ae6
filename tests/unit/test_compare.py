"""`Model.compare` gives the numbers that the models' own calls give one by one."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

import autocog_core as autocog
from autocog_core import Automaton, Comparison, InputError, Model
from autocog_core.numerics import divergence
from tests.mutants.correct_models import Chooser
from tests.support.small_backends import random_model, table_model

TEXTS = ["the cat sat", "a dog", "ünïcode €"]
PROMPTS = ["Is it? ", "The answer: ", "One two: "]
CHOICES = ["yes", "no", "yes or no"]
PROGRAM = Automaton.from_dict(
    {
        "inputs": {"message": "text"},
        "actions": [
            {"text": "Message: {{ message }}\nTopic:"},
            {"name": "topic", "choices": [" cards", " cash", " none"], "width": None},
            {"text": "\nUrgent:"},
            {"name": "urgent", "choices": [{"text": " yes", "value": True}, " no"]},
            {"text": "\nBecause"},
            {"name": "reason", "length": 4, "stop": "."},
        ],
    }
)
ROWS = [{"message": "lost"}, {"message": "where is it"}, {"message": "paid twice"}]
#: The same distributions, but for one character after one context.
KNOWN = {"It is": {" ": 0.6, "!": 0.3}, "It is ": {"a": 0.7, "b": 0.2}}
PLANTED = {"It is": {" ": 0.6, "!": 0.3}, "It is ": {"a": 0.2, "b": 0.7}}


@pytest.fixture
def pair() -> Iterator[tuple[Model, Model]]:
    options = {"vocabulary": "merges"}
    with random_model(seed=1, **options) as first, random_model(seed=2, **options) as second:
        yield first, second


def all_kinds(first: Model, second: Model) -> list[Comparison]:
    return [
        first.compare(second, TEXTS),
        first.compare(second, PROMPTS, choices=CHOICES),
        first.compare(second, PROGRAM, rows=ROWS),
    ]


def rows_before(model: Model, ids: Sequence[int], start: int) -> list[np.ndarray]:
    """The distributions before each token from `start` on, by one call for each."""
    return [model.client.greedy(list(ids[:end])) for end in range(start, len(ids))]


def kl(first: np.ndarray, second: np.ndarray) -> float:
    p, q = first.astype(np.float64), second.astype(np.float64)
    p, q = p - np.log(np.exp(p).sum()), q - np.log(np.exp(q).sum())
    return float((np.exp(p) * (p - q)).sum())


def test_texts_are_compared_as_by_hand(pair: tuple[Model, Model]) -> None:
    first, second = pair
    comparison = first.compare(second, TEXTS, context="Say: ")
    scores = [model.score_many(TEXTS, "Say: ") for model in pair]
    differences = [
        abs(a - b)
        for one, other in zip(*scores, strict=True)
        for a, b in zip(one.logprobs, other.logprobs, strict=True)
    ]
    assert comparison.vocabularies == "equal"
    assert comparison.equal_items == comparison.items == 3
    assert comparison.tokens is not None
    assert comparison.tokens.count == len(differences)
    assert comparison.tokens.mean == pytest.approx(np.mean(differences))
    assert comparison.tokens.max == max(differences)
    worst = comparison.worst_token
    assert worst is not None
    token = scores[0][worst.item].tokens[worst.position]
    assert (token.text, token.logprob) == (worst.token, worst.first)
    assert scores[1][worst.item].tokens[worst.position].logprob == worst.second
    assert abs(worst.first - worst.second) == comparison.tokens.max

    divergences, same = [], []
    for text, score in zip(TEXTS, scores[0], strict=True):
        ids = first.encode("Say: " + text)
        start = len(ids) - len(score.tokens)
        rows = [rows_before(model, ids, start) for model in pair]
        divergences += [kl(a, b) for a, b in zip(*rows, strict=True)]
        same += [a.argmax() == b.argmax() for a, b in zip(*rows, strict=True)]
    assert comparison.divergence is not None
    assert comparison.divergence.count == len(divergences)
    assert comparison.divergence.mean == pytest.approx(np.mean(divergences), rel=1e-5)
    assert comparison.divergence.max == pytest.approx(max(divergences), rel=1e-5)
    assert comparison.top_agreement == np.mean(same)

    for side, side_scores in zip((comparison.first, comparison.second), scores, strict=True):
        logprobs = [value for score in side_scores for value in score.logprobs]
        assert side.perplexity == pytest.approx(math.exp(-np.mean(logprobs)))


def test_choices_are_compared_as_by_hand(pair: tuple[Model, Model]) -> None:
    first, second = pair
    comparison = first.compare(second, PROMPTS, choices=CHOICES)
    results = [model.choose_many(PROMPTS, CHOICES) for model in pair]
    flips = {
        item: (one.value, other.value, one.best.prob, other.best.prob, one.margin)
        for item, (one, other) in enumerate(zip(*results, strict=True))
        if one.value != other.value
    }
    assert {
        flip.item: (
            flip.first,
            flip.second,
            flip.first_prob,
            flip.second_prob,
            pytest.approx(flip.first_margin),
        )
        for flip in comparison.flips
    } == flips
    margins = [flip.first_margin or 0 for flip in comparison.flips]
    assert margins == sorted(margins, reverse=True)
    assert (comparison.picks, comparison.agreeing) == (3, 3 - len(flips))
    shares = [[[score.prob for score in result.scores] for result in side] for side in results]
    expected = [
        sum(p * math.log(p / q) for p, q in zip(a, b, strict=True))
        for a, b in zip(*shares, strict=True)
    ]
    assert comparison.share_divergence is not None
    assert comparison.share_divergence.mean == pytest.approx(np.mean(expected))
    assert comparison.share_divergence.max == pytest.approx(max(expected))
    # The positions of a token tree count once: "yes" and "yes or no" share their beginning.
    assert comparison.divergence is not None
    sequences = {
        (prompt, *first.encode(prompt + choice)[:end])
        for prompt in PROMPTS
        for choice in CHOICES
        for end in range(len(first.encode(prompt)), len(first.encode(prompt + choice)))
    }
    assert comparison.divergence.count == len(sequences)


def test_a_program_is_compared_as_its_trees(pair: tuple[Model, Model]) -> None:
    first, second = pair
    comparison = first.compare(second, PROGRAM, rows=ROWS)
    trees = [[PROGRAM.run(model, row) for row in ROWS] for model in pair]
    expected = {
        (row, name): (one.fields[name], other.fields[name])
        for row, (one, other) in enumerate(zip(*trees, strict=True))
        for name in ("topic", "urgent", "reason")
        if one.fields[name] != other.fields[name]
    }
    assert expected
    assert {(f.item, f.field): (f.first, f.second) for f in comparison.flips} == expected
    assert comparison.picks == 9
    sums = [
        {
            (row, path.context + node.text): node.logprob
            for row, tree in enumerate(side)
            for index, node in enumerate(tree.nodes)
            if node.logprobs
            for path in [autocog.ThoughtPath(tree, index)]
        }
        for side in trees
    ]
    differences = [abs(sums[0][key] - sums[1][key]) for key in sums[0].keys() & sums[1].keys()]
    assert comparison.texts is not None
    assert comparison.texts.count == len(differences)
    assert comparison.texts.max == pytest.approx(max(differences))


def test_equal_models_differ_in_nothing() -> None:
    with random_model(seed=1) as first, random_model(seed=1) as second:
        for comparison in all_kinds(first, second):
            for spread in (comparison.tokens, comparison.texts, comparison.divergence):
                assert spread is not None
                assert spread.max == 0
            assert comparison.flips == ()
            assert comparison.top_agreement == 1
            assert comparison.equal_items == comparison.items
            assert comparison.agreement in (None, 1)
            assert comparison.notes == ()


def test_a_planted_difference_is_found_and_named() -> None:
    with table_model(KNOWN) as first, table_model(PLANTED) as second:
        comparison = first.compare(second, ["It is", "No", "It is a"])
        assert comparison.worst_token is not None
        assert comparison.worst_position is not None
        worst = comparison.worst_token
        assert (worst.item, worst.position, worst.token) == (2, 6, "a")
        assert (math.exp(worst.first), math.exp(worst.second)) == pytest.approx((0.7, 0.2))
        assert (comparison.worst_position.item, comparison.worst_position.context[-5:]) == (
            2,
            "t is ",
        )
        expected = 0.7 * math.log(0.7 / 0.2) + 0.2 * math.log(0.2 / 0.7)
        assert comparison.worst_position.divergence == pytest.approx(expected)
        picks = first.compare(second, ["No", "It is "], choices=["a", "b"])
        (flip,) = picks.flips
        assert (flip.item, flip.first, flip.second) == (1, "a", "b")
        assert flip.first_margin == pytest.approx(5 / 9)


def test_models_with_other_tokens_are_compared_by_texts() -> None:
    with random_model(vocabulary="bytes") as first, random_model(vocabulary="merges") as second:
        comparison = first.compare(second, ["the cat and the dog", "xyz"])
        assert comparison.vocabularies == "different"
        assert comparison.equal_items == 1
        assert comparison.divergence is None
        assert comparison.texts is not None
        scores = [model.score("the cat and the dog").logprob for model in (first, second)]
        assert comparison.texts.count == 2
        assert comparison.texts.max >= abs((scores[0] or 0) - (scores[1] or 0))
        assert "vocabularies" in comparison.notes[0]


def test_models_that_only_choose_are_compared_by_their_picks(pair: tuple[Model, Model]) -> None:
    first = pair[0]
    with Model(Chooser()) as second:
        comparison = first.compare(second, PROMPTS, choices=CHOICES)
    assert comparison.picks == 3
    assert comparison.share_divergence is not None
    assert comparison.divergence is None
    assert comparison.vocabularies == "unknown"
    assert comparison.notes


def test_a_text_in_windows_has_the_same_windows_in_both() -> None:
    with random_model(seed=1, context_length=8) as first, random_model(seed=1) as second:
        comparison = first.compare(second, ["a text that is longer than one window"])
        assert comparison.tokens is not None
        assert comparison.divergence is not None
        assert comparison.tokens.max == comparison.divergence.max == 0
        assert comparison.tokens.count == comparison.divergence.count == 37


def test_an_item_that_fails_on_one_model_counts_for_none() -> None:
    with random_model(seed=1, context_length=30) as first, random_model(seed=2) as second:
        for models in ((first, second), (second, first)):
            prompts = ["short", "a prompt that does not fit the first model", "also short"]
            comparison = models[0].compare(models[1], prompts, choices=["a", "b"])
            assert comparison.items == comparison.picks == 2
            assert list(comparison.errors) == [1]
            with pytest.raises(autocog.ContextOverflowError):
                models[0].compare(models[1], [prompts[1]], choices=["a", "b"])


def test_rows_that_could_not_be_read_are_errors(pair: tuple[Model, Model]) -> None:
    rows = [ROWS[0], InputError("is broken", where="line 3")]
    comparison = pair[0].compare(pair[1], PROGRAM, rows=rows)
    assert comparison.errors == {1: "line 3: is broken"}


def test_results_are_plain_data_and_text(pair: tuple[Model, Model]) -> None:
    for comparison in all_kinds(*pair):
        data = json.loads(json.dumps(comparison.to_dict(), allow_nan=False))
        assert data["first"]["calls"] == 2
        assert data["picks"] == comparison.picks
        assert "mean" in str(comparison)
    # What one model excludes has an infinite divergence, which JSON does not have.
    with table_model({"a": {"b": 1.0}}) as first, table_model({"a": {"c": 1.0}}) as second:
        comparison = first.compare(second, ["ab"])
        assert comparison.divergence is not None
        assert comparison.divergence.max == math.inf
        assert comparison.to_dict()["divergence"]["max"] is None
        assert "inf" in str(comparison)


@pytest.mark.parametrize(
    ("work", "arguments", "message"),
    [
        ([], {}, "no items"),
        ("one text", {}, "list"),
        ([""], {}, "text 0: is empty"),
        (TEXTS, {"rows": [{}]}, "rows: is not an argument for texts"),
        (PROMPTS, {"choices": CHOICES, "context": "x"}, "context: is not an argument for prompts"),
        (PROMPTS, {"choices": ["a", "a"]}, "was given before"),
        (PROGRAM, {"choices": CHOICES}, "choices: is not an argument for a program"),
        (PROGRAM, {"rows": ["lost"]}, "row 0: got str"),
    ],
)
def test_wrong_work_is_one_error(
    pair: tuple[Model, Model], work: object, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        pair[0].compare(pair[1], work, **arguments)  # type: ignore[arg-type]


def test_divergence_of_impossible_outcomes() -> None:
    never = -math.inf
    assert divergence([0.0, never], [0.0, never]) == 0
    assert divergence([0.0, never], [math.log(0.5), math.log(0.5)]) == pytest.approx(math.log(2))
    assert divergence([math.log(0.5), math.log(0.5)], [0.0, never]) == math.inf
