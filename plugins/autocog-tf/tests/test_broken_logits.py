"""Logits that are no numbers are reported as such: never as tokens that are impossible."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from autocog_core import NumericsError
from autocog_core.hooks.answer_checks import check_trees
from autocog_core.types.backend_info import BackendInfo
from autocog_core.types.token_tree import TreeQuery
from autocog_tf.evaluators.tree_scores import TorchScoreCollector


@pytest.mark.parametrize("logit", [math.nan, math.inf, -math.inf])
def test_a_row_without_a_sum_is_nan(logit: float) -> None:
    root, none = np.array([-1], dtype=np.int32), np.zeros(1, dtype=np.int32)
    query = TreeQuery(prefix=[1, 2], tokens=none, parents=root, top_at=root, top_k=2)
    logits = torch.zeros((1, 5))
    logits[0, 3 if logit > 0 or math.isnan(logit) else slice(None)] = logit
    collector = TorchScoreCollector([query])
    nodes = [node for node, needed in enumerate(collector.forest.needs_row) if needed]
    collector.add(nodes, logits)
    scores = collector.scores()
    assert np.isnan(scores[0].values).all()
    assert np.isnan(scores[0].top_logprobs).all()
    with pytest.raises(NumericsError, match=r"NaN .* 1 of 1, first for node 0, after 2 tokens"):
        check_trees(scores, [query], BackendInfo(name="m", vocabulary_size=5))
