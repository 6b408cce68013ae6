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
from autocog_tf.evaluators.kept_verdict import Verdict
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

    @property
    def verdict(self) -> Verdict | None:
        """What may be kept for the next load; None for plain forwards, the last resort."""
        if isinstance(self.evaluator, PlainEvaluator):
            return None
        return Verdict(
            evaluator=self.evaluator.name, difference=self.difference, rejected=self.rejected
        )


def confirm_verdict(
    forward: Forward,
    candidates: Sequence[Callable[[], Evaluator]],
    verdict: Verdict,
    tolerance: float,
) -> SelectionResult | None:
    """Return the evaluator of a kept verdict, if a short test agrees with it; else None.

    The short test compares two rows of one call: one after a tree's last branch, and one of a
    second query. A verdict is about the code of the model; its weights may be others.

    :param forward: the model.
    :param candidates: make the evaluators.
    :param verdict: what an earlier test has shown.
    :param tolerance: largest difference that is accepted, in nats per token.
    """
    evaluator = next((e for make in candidates if (e := make()).name == verdict.evaluator), None)
    if evaluator is None:
        return None
    prefix, others = _test_tokens(forward.model)
    tree = TokenTree.build([others[:3], others[3:5]])
    queries = [
        TreeQuery(prefix=prefix, tokens=tree.tokens, parents=tree.parents),
        _chain([*prefix[:-2], others[6]], others[5:6]),
    ]
    plain = [_chain([*prefix, others[3]], others[4:5]), queries[1]]
    expected = _evaluate(PlainEvaluator(forward), plain)
    try:
        actual = _evaluate(evaluator, queries)[-2:]
    except Exception:  # noqa: BLE001 - as in `select_evaluator`
        return None
    finally:
        evaluator.clear()
    difference = float(np.max(np.abs(expected - actual)))
    # NaN is not within the tolerance.
    if not difference <= tolerance:
        return None
    return SelectionResult(
        evaluator=evaluator,
        difference=max(difference, verdict.difference),
        rejected=verdict.rejected,
    )


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
    prefix, others = _test_tokens(model)
    tree = TokenTree.build([others[:3], [others[0], others[3], others[4]], [others[5], others[6]]])
    # The first call shows whether trees are right. The later ones show what the cache does to the
    # rows of a prefix and of its branches: two branches are enough.
    fork = TokenTree.build([others[:2], others[5:7]])

    def query(tokens: list[int], tree: TokenTree = fork) -> TreeQuery:
        return TreeQuery(prefix=tokens, tokens=tree.tokens, parents=tree.parents)

    return [
        [query(prefix, tree)],
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


def _test_tokens(model: Any) -> tuple[list[int], list[int]]:
    """Return a prefix, longer than a short attention window, and 14 other tokens."""
    config = model.config.get_text_config()
    generator = np.random.default_rng(0)
    window = getattr(config, "sliding_window", None) or 0
    length = window + 6 if 0 < window <= MAX_TESTED_WINDOW else 6
    tokens = generator.integers(0, config.vocab_size, length + 14).tolist()
    return tokens[:length], tokens[length:]


def _chain(prefix: list[int], tokens: list[int]) -> TreeQuery:
    tree = TokenTree.build([tokens])
    return TreeQuery(prefix=prefix, tokens=tree.tokens, parents=tree.parents)
