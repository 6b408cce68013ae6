"""What laws say is the matter: a cause is told where it explains what came, and only there."""

from __future__ import annotations

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
from tests.mutants import choices, descriptions, memory, rows, trees
from tests.mutants.sound import Sound

BY_NAME = {law.name: law for law in LAWS}


def break_of(backend: Any, law: str) -> LawViolation:
    with pytest.raises(LawViolation) as caught:
        check(BY_NAME[law], BackendUnderTest(backend))
    return caught.value


def test_one_number_that_fits_is_no_off_by_one() -> None:
    assert "off by one" not in break_of(trees.OneNodeOff, "tree_scores_match").cause


def test_stripping_is_not_blamed_for_other_wrong_scores() -> None:
    error = break_of(choices.Halved, "choice_order_is_kept")
    assert error.cause == ""


def test_weights_that_differ_are_no_shared_state() -> None:
    cause = break_of(memory.RandomWeights, "two_models").cause
    assert "weights that are random" in cause
    assert "class attribute" not in cause


def test_rows_that_are_not_rounded_are_not_called_so() -> None:
    assert "rounded" not in break_of(rows.Scaled, "distribution").cause


class OfOrder(Sound):
    """Looks at the last tokens only."""

    order = 3

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"context_length": 256, **options})

    def logits(self, tokens: Sequence[int]) -> Any:
        return super().logits(tokens[-self.order :])


class OfDeclaredOrder(OfOrder):
    order = 100

    def describe_impl(self) -> BackendInfo:
        return replace(super().describe_impl(), details={"order": self.order})


class Forgetting(Sound):
    """Each token counts a little less than the one after it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"context_length": 256, **options})

    def logits(self, tokens: Sequence[int]) -> Any:
        size = self.vocabulary.size
        weights = 0.8 ** np.arange(len(tokens))[::-1]
        directions = np.sin(np.outer(np.array(tokens) + 1.0, np.arange(1, size + 1)))
        return 3 * weights @ directions


@pytest.mark.parametrize("backend", [OfOrder, OfDeclaredOrder, Forgetting])
def test_models_that_forget_are_not_blamed_for_it(backend: type[Sound]) -> None:
    with pytest.raises(NotApplicableError):
        check(BY_NAME["whole_context_matters"], BackendUnderTest(backend))


def test_a_description_that_fails_breaks_laws_and_raises_nothing() -> None:
    found = list(conformance(BackendUnderTest(descriptions.Mute)))
    assert {finding.status for finding in found} == {"broken"}
    assert {finding.violation.failure for finding in found if finding.violation} == {
        found[0].violation.failure if found[0].violation else ""
    }
    assert "KeyError: 'vocab_size' (describe_impl" in str(found[0].violation)


def test_a_description_of_the_wrong_type_is_named() -> None:
    assert "`describe` returns dict" in break_of(descriptions.Dictionary, "description").problem
