"""How many rows run at once: a number, or what suits the models."""

from __future__ import annotations

from typing import Any

import pytest

from autocog_core import Automaton, InputError
from autocog_core.evaluation.concurrency import rows_at_once
from autocog_core.types.backend_info import BackendInfo
from tests.support.small_backends import random_model


def info(**changes: Any) -> BackendInfo:
    return BackendInfo(name="x", vocabulary_size=9, **changes)


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ([info(nodes_per_step=12)], 12),
        ([info(max_concurrency=64, nodes_per_step=1)], 64),
        # The model that takes the fewest decides.
        ([info(max_concurrency=64), info(nodes_per_step=5)], 5),
    ],
)
def test_auto_is_what_suits_the_models(models: list[BackendInfo], expected: int) -> None:
    assert rows_at_once("auto", models) == expected
    assert rows_at_once(3, models) == 3


@pytest.mark.parametrize("wrong", [0, -1, "many", "3", 1.5, None])
def test_anything_else_is_refused(wrong: Any) -> None:
    with pytest.raises(InputError, match=r'concurrency: expected a whole number >= 1 or "auto"'):
        rows_at_once(wrong, [info()])


def test_rows_are_the_same() -> None:
    automaton = Automaton.from_dict(
        {
            "inputs": {"question": "text"},
            "actions": [{"text": "{{ question }}:"}, {"name": "a", "choices": [" a", " b"]}],
        }
    )
    rows = [{"question": f"Row {number}"} for number in range(20)]
    with random_model(seed=3) as model:
        both = [
            [tree.to_dict()["nodes"] for tree in automaton.run_many(model, rows, concurrency=n)]  # type: ignore[union-attr]
            for n in (1, "auto")
        ]
    assert both[0] == both[1]
