"""`ChoiceScores.from_logprobs` gives what core's token choice tree gives for the same numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from autocog_core import (
    EOS,
    CapabilityError,
    ChoiceRequest,
    ChoiceScores,
    ContractError,
    InputError,
    Model,
    NumericsError,
    hookimpl,
)
from autocog_core.hooks.specs import CONTRACT_VERSION
from autocog_core.scoring.choice_tree import choose_many
from autocog_core.testing import BackendUnderTest, conformance
from autocog_core.types.backend_info import BackendInfo
from autocog_core.types.prompt import Prompt, TextPiece
from tests.support.small_backends import random_model

#: Choices that begin each other, of different lengths.
CHOICES = ("1", "10", "100", " yes", "no", "12")
PROMPT = Prompt(pieces=(TextPiece("How many?"),))


def request(**changes: Any) -> ChoiceRequest:
    return replace(ChoiceRequest(prompt=PROMPT, choices=CHOICES), **changes)


@pytest.mark.parametrize("norm", ["sum", "mean", "per_byte"])
@pytest.mark.parametrize("seed", range(3))
def test_with_tokens_the_scores_are_those_of_the_token_tree(norm: Any, seed: int) -> None:
    model = random_model(seed=seed, bos=True)
    (expected,) = choose_many(model.client, [request(norm=norm)])
    assert expected.has_prefix_choices
    got = ChoiceScores.from_logprobs(
        request(norm=norm),
        [score.token_logprobs for score in expected.scores],
        tokens=[score.tokens for score in expected.scores],
        method="tree",
        tokens_evaluated=expected.tokens_evaluated,
    )
    assert got.exact
    for score, other in zip(got.scores, expected.scores, strict=True):
        for name in ("exclusive_logprob", "mean_logprob", "logprob_per_byte", "prob"):
            assert getattr(score, name) == pytest.approx(getattr(other, name), abs=1e-12), name
    without = {"scores": (), "entropy": 0.0, "margin": 0.0}
    assert replace(got, **without) == replace(expected, **without)
    assert (got.entropy, got.margin) == pytest.approx((expected.entropy, expected.margin))


def test_whole_choices_are_different_outcomes() -> None:
    logprobs = np.log([0.1, 0.2, 0.05, 0.3, 0.15, 0.05])
    result = ChoiceScores.from_logprobs(request(), logprobs.tolist())
    assert (result.choice, result.exact, result.has_prefix_choices) == (" yes", False, False)
    assert [score.prob for score in result.scores] == pytest.approx(np.exp(logprobs) / 0.85)
    assert [score.exclusive_logprob for score in result.scores] == logprobs.tolist()
    assert result.margin == pytest.approx(0.1 / 0.85)
    assert result.reason
    per_byte = ChoiceScores.from_logprobs(request(norm="per_byte"), logprobs.tolist())
    assert per_byte.best.logprob_per_byte == max(
        logprob / len(choice) for logprob, choice in zip(logprobs, CHOICES, strict=True)
    )


def test_rounding_above_zero_is_zero_and_impossible_choices_are_equal() -> None:
    assert ChoiceScores.from_logprobs(request(), [1e-7] + [-1.0] * 5).best.logprob == 0
    result = ChoiceScores.from_logprobs(request(), [-np.inf] * 6)
    assert [score.prob for score in result.scores] == pytest.approx([1 / 6] * 6)


@pytest.mark.parametrize(
    ("changes", "logprobs", "options", "error", "problem"),
    [
        ({}, [-1.0] * 5, {}, ContractError, "5 log-probabilities for 6 choices"),
        ({}, [[-1.0]] * 5 + [[]], {}, ContractError, "no log-probability of '12'"),
        ({}, [-1.0] * 5 + [0.5], {}, NumericsError, "of '12' is 0.5, not at most 0"),
        ({}, [float("nan")] + [-1.0] * 5, {}, NumericsError, "of '1' is nan"),
        ({}, [-1.0] * 6, {"tokens": [[1]] * 6}, ContractError, "one log-probability for each"),
        ({}, [[-1.0]] * 6, {"tokens": [[1]] * 5}, ContractError, "of 5 choices in place of 6"),
        ({}, [[-1.0]] * 6, {"tokens": [[1, 2]] * 6}, ContractError, "for 2 tokens of '1'"),
        ({"norm": "pmi"}, [[-1.0]] * 6, {}, CapabilityError, 'norm "pmi" is not offered'),
        ({"norm": "mean"}, [-1.0] * 6, {}, CapabilityError, "for each choice"),
        ({"suffix": EOS}, [-1.0] * 6, {}, CapabilityError, "no suffix"),
        ({"method": "tree"}, [-1.0] * 6, {}, CapabilityError, "'tree' is not offered"),
    ],
)
def test_what_does_not_belong_together_is_refused(
    changes: Any, logprobs: Any, options: Any, error: Any, problem: str
) -> None:
    with pytest.raises(error) as caught:
        ChoiceScores.from_logprobs(request(**changes), logprobs, **options)
    assert problem in str(caught.value)


class ChoiceOnly:
    """A classifier: longer choices are less likely."""

    contract = CONTRACT_VERSION

    @hookimpl
    def describe(self) -> BackendInfo:
        return BackendInfo(
            name="only chooses", vocabulary_size=1, compute_fingerprint=lambda: "lengths"
        )

    @hookimpl
    def choose(self, request: ChoiceRequest) -> ChoiceScores:
        return ChoiceScores.from_logprobs(request, [-float(len(c)) for c in request.choices])


def test_a_backend_of_one_line_passes_the_laws_of_choices() -> None:
    results = {each.law.name: each for each in conformance(BackendUnderTest(ChoiceOnly))}
    assert [result.violation for result in results.values() if result.violation] == []
    assert results["choice_answers_are_complete"].status == "holds"
    assert Model(ChoiceOnly()).choose("x", ["aa", "b"]).choice == "b"


@pytest.mark.parametrize("norm", ["byte", None, ["sum"]])
def test_an_unknown_norm_is_an_error_of_the_call_for_every_backend(norm: Any) -> None:
    for model in (Model(ChoiceOnly()), random_model()):
        with pytest.raises(InputError, match="norm: unknown norm"):
            model.choose("x", ["aa", "b"], norm=norm)
        with pytest.raises(InputError, match="unknown norm"):
            model.choose_many(["x"], ["aa", "b"], norm=norm)
