"""Select the fastest evaluator that is correct for a model, by a test at load.

Caches differ by architecture, and some models return wrong numbers without an error. A few tokens
show it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from autocog_core import TreeQuery
from autocog_core.toolkit import TokenTree, shorten
from autocog_tf.evaluators.evaluator import Evaluator, Forward, PlainEvaluator
from autocog_tf.evaluators.tree_scores import TorchScoreCollector

log = logging.getLogger(__name__)

#: Up to this attention window, the test uses a prefix that is longer than the window.
MAX_TESTED_WINDOW = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionResult:
    """The evaluator of a model.

    :ivar evaluator: the evaluator.
    :ivar difference: largest difference from plain forwards in the test, in nats per token.
    :ivar rejected: the candidates before it, each with the reason.
    """

    evaluator: Evaluator
    difference: float
    rejected: tuple[str, ...]


def select_evaluator(
    forward: Forward, candidates: Sequence[Callable[[], Evaluator]], tolerance: float
) -> SelectionResult:
    """Return the first candidate that agrees with plain forwards; else plain forwards.

    :param forward: the model.
    :param candidates: make the evaluators, fastest first.
    :param tolerance: largest difference that is accepted, in nats per token.
    """
    rejected: list[str] = []
    calls = _test_queries(forward.model)
    plain = PlainEvaluator(forward)
    expected = [_evaluate(plain, queries) for queries in calls]
    for make_evaluator in candidates:
        evaluator = make_evaluator()
        try:
            actual = [_evaluate(evaluator, queries) for queries in calls]
        # A model may raise any error for a mask or cache that it does not support.
        except Exception as error:  # noqa: BLE001
            rejected.append(shorten(f"{evaluator.name}: {type(error).__name__}: {error}", 200))
            continue
        finally:
            evaluator.clear()
        # Python's max would lose NaN; NumPy's does not.
        differences = [np.abs(a - b).max() for a, b in zip(expected, actual, strict=True)]
        difference = float(np.max(differences))
        if difference <= tolerance:
            if rejected:
                log.info("trees are evaluated by %s (%s)", evaluator.name, "; ".join(rejected))
            return SelectionResult(
                evaluator=evaluator, difference=difference, rejected=tuple(rejected)
            )
        rejected.append(f"{evaluator.name}: differs by {difference:.2g} nats")
    log.warning(
        "no fast evaluator agrees with plain forwards for this model (%s): "
        "every sequence is evaluated separately",
        "; ".join(rejected),
    )
    return SelectionResult(evaluator=plain, difference=0.0, rejected=tuple(rejected))


def _evaluate(evaluator: Evaluator, queries: Sequence[TreeQuery]) -> Any:
    """Return the values of all queries, float64 (k,)."""
    collector = TorchScoreCollector(queries)
    with torch.inference_mode():
        evaluator.evaluate(collector.forest, collector.add)
    return np.concatenate([scores.values for scores in collector.scores()])


def _test_queries(model: Any) -> list[list[TreeQuery]]:
    """Return calls that build on one another: a tree, longer and shorter prefixes, several rows."""
    config = model.config.get_text_config()
    generator = np.random.default_rng(0)
    window = getattr(config, "sliding_window", None) or 0
    length = window + 6 if 0 < window <= MAX_TESTED_WINDOW else 6
    tokens = generator.integers(0, config.vocab_size, length + 14).tolist()
    prefix, others = tokens[:length], tokens[length:]
    tree = TokenTree.build([others[:3], [others[0], others[3], others[4]], [others[5], others[6]]])

    def query(tokens: list[int]) -> TreeQuery:
        return TreeQuery(prefix=tokens, tokens=tree.tokens, parents=tree.parents)

    return [
        [query(prefix)],
        [query(prefix + others[8:12])],
        [query(prefix[:-2])],
        # Several rows, of equal and of different lengths. All have the same first token: attention
        # to the first token is high, and float32 itself may differ by more than the tolerance.
        [query([*prefix, others[12]]), query([*prefix[:-1], others[13]])],
        [
            query(prefix + others[9:12]),
            query([*prefix, others[11]]),
            query([*prefix[:-3], others[13]]),
        ],
    ]
