"""The tiers of backends: each law belongs to one, and a backend offers what its hooks show."""

from __future__ import annotations

from typing import Any

import pytest

from autocog_core import Model
from autocog_core.backends.random import RandomLM
from autocog_core.hooks.manager import hook_names
from autocog_core.hooks.tiers import COMMON_LAWS, SHARED_PREFIXES, TIERS, tier_names, tiers_of
from autocog_core.model.prefix_sharing import measured_tiers
from autocog_core.testing import LAWS
from tests.mutants.correct_models import Chooser, CorrectTreeLM
from tests.wrappers.counting import CountingLM

ROWS = ["completes", "chooses", "exact rows"]


def test_each_law_belongs_to_one_tier_or_to_all_backends() -> None:
    names = [*COMMON_LAWS, *(name for tier in TIERS for name in tier.laws)]
    assert sorted(names) == sorted(law.name for law in LAWS)
    assert all(tier.hooks <= hook_names() for tier in TIERS)


@pytest.mark.parametrize(
    ("hooks", "shares", "names"),
    [
        ({"greedy_impl"}, None, ROWS),
        ({"choose"}, None, ["chooses"]),
        ({"complete"}, None, ["completes", "own loop"]),
        ({"greedy_impl", "greedy_tree_impl"}, None, [*ROWS, "batched trees"]),
        ({"greedy_impl", "greedy_tree_impl"}, True, [*ROWS, "batched trees", SHARED_PREFIXES]),
        ({"greedy_impl", "greedy_tree_impl"}, False, [*ROWS, "batched trees"]),
        ({"tokenize"}, True, []),
    ],
)
def test_hooks_show_the_tiers(hooks: set[str], shares: bool | None, names: list[str]) -> None:
    assert tier_names(tiers_of(hooks, shares_prefixes=shares)) == names


@pytest.mark.parametrize(
    ("backend", "names"),
    [
        (RandomLM, ROWS),
        (Chooser, ["chooses"]),
        # It evaluates each prefix once, and one whose counts leave the prefix out does so too.
        (CountingLM, [*ROWS, "batched trees", SHARED_PREFIXES, "own loop"]),
        (CorrectTreeLM, [*ROWS, "batched trees", SHARED_PREFIXES]),
    ],
)
def test_sharing_is_measured_on_a_model(backend: Any, names: list[str]) -> None:
    with Model(backend()) as model:
        assert tier_names(measured_tiers(model.client)) == names


def test_a_context_that_is_too_short_shows_nothing() -> None:
    with Model(CountingLM(context_length=2)) as model:
        assert SHARED_PREFIXES not in tier_names(measured_tiers(model.client))
