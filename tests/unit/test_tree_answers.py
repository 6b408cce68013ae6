"""Collectors of tree scores: what was never answered is an error, and never a number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autocog_core import ContractError, TreeQuery
from autocog_core.numerics import log_softmax
from autocog_core.toolkit import NumpyScoreCollector


def query(top_at: list[int]) -> TreeQuery:
    return TreeQuery(
        prefix=[1, 2],
        tokens=np.array([3, 4, 5, 6], dtype=np.int32),
        parents=np.array([-1, 0, 1, 1], dtype=np.int32),
        top_at=np.array(top_at, dtype=np.int32),
        top_k=2,
    )


def collector(top_at: list[int], left_out: list[int]) -> Any:
    """Return a collector that received all nodes but some, by the order in the forest."""
    answers = NumpyScoreCollector([query(top_at)])
    needed = np.flatnonzero(answers.forest.needs_row).tolist()
    row = log_softmax(np.arange(8.0))
    for index, node in enumerate(needed):
        if index not in left_out:
            answers.add([node], row[None])
    return answers


def test_all_nodes_answered_are_scores() -> None:
    (scores,) = collector([-1, 3], []).scores()
    assert np.isfinite(scores.values).all()
    assert (scores.top_tokens == [[7, 6], [7, 6]]).all()


@pytest.mark.parametrize(
    ("top_at", "left_out", "message"),
    [
        ([], [0], "after 1 of the 3 nodes"),
        ([], [1, 2], "after 2 of the 3 nodes whose distribution is read: nodes 2, 3 of the forest"),
        ([3], [3], "after 1 of the 4 nodes"),
        ([-1], [0], "after 1 of the 3 nodes"),
    ],
)
def test_a_forgotten_node_is_an_error_and_not_certainty(
    top_at: list[int], left_out: list[int], message: str
) -> None:
    answers = collector(top_at, left_out)
    with pytest.raises(ContractError, match="no logits were added") as caught:
        answers.scores()
    assert message in caught.value.message


def test_an_engine_that_evaluates_nothing_gives_no_scores() -> None:
    with pytest.raises(ContractError, match="after 3 of the 3 nodes"):
        NumpyScoreCollector([query([])]).scores()
