"""Which way of evaluating trees is right for a model: tried at load against plain evaluation.

Architectures differ in what their caches can do, and some are wrong without an error; a few
tokens tell.
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

#: A window up to this long is tried with a prefix that is longer.
TEST_WINDOW = 64


@dataclass(frozen=True, slots=True)
class SelectionResult:
    """The way that is used, how far it was from plain evaluation, and why others are not."""

    evaluator: Evaluator
    difference: float
    rejected: tuple[str, ...]


def select_evaluator(
    forward: Forward, candidates: Sequence[Callable[[], Evaluator]], tolerance: float
) -> SelectionResult:
    """The first candidate that agrees with plain evaluation within `tolerance` nats a token."""
    rejected: list[str] = []
    scenario = _test_queries(forward.model)
    plain = PlainEvaluator(forward)
    expected = [_values(plain, queries) for queries in scenario]
    for make in candidates:
        evaluator = make()
        try:
            found = [_values(evaluator, queries) for queries in scenario]
        # What a model does with a mask or cache that it does not know can be any error.
        except Exception as error:  # noqa: BLE001
            rejected.append(shorten(f"{evaluator.name}: {type(error).__name__}: {error}", 200))
            continue
        finally:
            evaluator.clear()
        # numpy's maximum, which NaN does not hide from.
        apart = [np.abs(a - b).max() for a, b in zip(expected, found, strict=True)]
        difference = float(np.max(apart))
        if difference <= tolerance:
            if rejected:
                log.info("trees are evaluated by %s (%s)", evaluator.name, "; ".join(rejected))
            return SelectionResult(evaluator, difference, tuple(rejected))
        rejected.append(f"{evaluator.name}: differs by {difference:.2g} nats")
    log.warning(
        "no fast way of evaluating trees agrees with plain evaluation for this model (%s): "
        "every sequence is evaluated on its own",
        "; ".join(rejected),
    )
    return SelectionResult(plain, 0.0, tuple(rejected))


def _values(evaluator: Evaluator, queries: Sequence[TreeQuery]) -> Any:
    answers = TorchScoreCollector(queries)
    with torch.inference_mode():
        evaluator.evaluate(answers.forest, answers.add)
    return np.concatenate([answer.values for answer in answers.scores()])


def _test_queries(model: Any) -> list[list[TreeQuery]]:
    """Calls that build on one another: a tree, its longer prefix, a strict prefix, two rows."""
    config = model.config.get_text_config()
    generator = np.random.default_rng(0)
    window = getattr(config, "sliding_window", None) or 0
    length = window + 6 if 0 < window <= TEST_WINDOW else 6
    drawn = generator.integers(0, config.vocab_size, length + 14).tolist()
    prefix, more = drawn[:length], drawn[length:]
    tree = TokenTree.build([more[:3], [more[0], more[3], more[4]], [more[5], more[6]]])

    def query(tokens: list[int]) -> TreeQuery:
        return TreeQuery(prefix=tokens, tokens=tree.tokens, parents=tree.parents)

    return [
        [query(prefix)],
        [query(prefix + more[8:12])],
        [query(prefix[:-2])],
        # Several queries, of the same length and not. They all begin alike: after another first
        # token, which much attention goes to, float32 itself may be off by more than the tolerance.
        [query([*prefix, more[12]]), query([*prefix[:-1], more[13]])],
        [query(prefix + more[9:12]), query([*prefix, more[11]]), query([*prefix[:-3], more[13]])],
    ]
