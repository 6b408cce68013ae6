"""Likely causes in violations: a law names a cause only if it explains the result."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from autocog_core import BackendInfo
from autocog_core.testing import (
    LAWS,
    BackendUnderTest,
    LawViolation,
    NotApplicableError,
    conformance,
)
from autocog_core.testing.conformance import check
from autocog_core.testing.contract import check_or_skip
from tests.mutants import choices, descriptions, memory, rows, trees
from tests.mutants.correct_models import CorrectLM

BY_NAME = {law.name: law for law in LAWS}


def violation_of(backend: Any, law: str) -> LawViolation:
    with pytest.raises(LawViolation) as caught:
        check(BY_NAME[law], BackendUnderTest(backend))
    return caught.value


def test_one_matching_number_is_not_called_off_by_one() -> None:
    assert "off by one" not in violation_of(trees.OneNodeWrong, "tree_scores_match").cause


def test_other_wrong_scores_are_not_blamed_on_stripping() -> None:
    error = violation_of(choices.HalvedAmongOthers, "choice_order_is_kept")
    assert error.cause == ""


def test_different_weights_are_not_called_shared_state() -> None:
    cause = violation_of(memory.RandomWeights, "two_models").cause
    assert "weights that are random" in cause
    assert "class attribute" not in cause


def test_unrounded_rows_are_not_called_rounded() -> None:
    assert "rounded" not in violation_of(rows.Scaled, "distribution").cause


class LastThreeTokens(CorrectLM):
    """Uses the last three tokens only, and does not declare it."""

    order = 3

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"context_length": 256, **options})

    def logits(self, tokens: Sequence[int]) -> Any:
        return super().logits(tokens[-self.order :])


class DeclaredOrder(LastThreeTokens):
    order = 100

    def describe_impl(self) -> BackendInfo:
        return replace(super().describe_impl(), details={"order": self.order})


class GradualForgetting(CorrectLM):
    """Gives each token a little less weight than the next one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"context_length": 256, **options})

    def logits(self, tokens: Sequence[int]) -> Any:
        size = self.vocabulary.size
        weights = 0.8 ** np.arange(len(tokens))[::-1]
        directions = np.sin(np.outer(np.array(tokens) + 1.0, np.arange(1, size + 1)))
        return 3 * weights @ directions


@pytest.mark.parametrize("backend", [LastThreeTokens, DeclaredOrder, GradualForgetting])
def test_models_that_forget_do_not_break_the_law(backend: type[CorrectLM]) -> None:
    with pytest.raises(NotApplicableError):
        check(BY_NAME["whole_context_matters"], BackendUnderTest(backend))


def test_a_failing_description_breaks_every_law() -> None:
    results = list(conformance(BackendUnderTest(descriptions.DescriptionFails)))
    assert {result.status for result in results} == {"broken"}
    (failure,) = {result.violation.failure for result in results if result.violation}
    assert "raised KeyError: 'vocab_size'" in failure
    assert re.search(r"\(\S*descriptions\.py:\d+\)$", failure)
    assert failure in str(results[0].violation)


class CropFails(CorrectLM):
    """Calls a library with an empty image."""

    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        return self.crop(tokens)

    def crop(self, tokens: Sequence[int]) -> Any:
        return textwrap.wrap("text", width=0)


def test_a_failing_hook_is_shown_by_its_authors_lines_alone() -> None:
    for name in ("distribution", "determinism"):
        with pytest.raises(AssertionError) as caught:
            check_or_skip(BY_NAME[name], BackendUnderTest(CropFails))
        first, *lines = str(caught.value).splitlines()
        # Laws that call hooks without core's checks say it in the same words.
        assert "HookError: CropFails: greedy_impl of CropFails" in first
        assert "raised ValueError: invalid width 0" in first
        assert re.search(r"\(\S*test_diagnoses\.py:\d+\)$", first), "the author's line"
        assert [line.partition(", in ")[2].partition(":")[0] for line in lines] == [
            "greedy_impl",
            "crop",
            "wrap",
            "wrap",
            "_wrap_chunks",
        ]
        assert all("autocog_core" not in line.partition(", in ")[0] for line in lines)
        # Pytest shows what an error was raised from, with all lines of core.
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__


def test_a_violation_names_the_wrong_type_of_a_description() -> None:
    assert (
        "describe: expected BackendInfo, got dict"
        in violation_of(descriptions.DescriptionIsDict, "description").problem
    )


class OneIsNan(CorrectLM):
    def greedy_impl(self, tokens: Sequence[int]) -> Any:
        row = super().greedy_impl(tokens)
        row[7] = np.nan
        return row


def test_nan_is_called_nan() -> None:
    violation = violation_of(OneIsNan, "distribution")
    assert violation.problem == "a row contains NaN"
    assert re.search(r"NaN for 1 of \d+ tokens after \d+ tokens, first for token 7", violation.got)
    assert "NaN in the logits" in violation.cause
