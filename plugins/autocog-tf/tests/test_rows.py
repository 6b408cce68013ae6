"""The trees of several queries as rows of one forward: exact, shared, in bounded memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from autocog_core import TreeQuery
from autocog_core.toolkit.tree_answers import TreeScoreCollector
from autocog_tf.engine import TfEngine
from autocog_tf.evaluators import out_of_memory
from autocog_tf.evaluators.batch_plan import ALWAYS_BATCH_ROWS, BatchPlanner, CostModel, Limits
from tests.support.tf import plain_forward as plain
from tests.support.tf import tiny_models as tiny
from tests.support.tf.tree_checks import check, query_of

TOLERANCE = 1e-4
ROWS_ARE_CHEAP = CostModel(token=1.0, pair=1.0, copy=0.0, forward=100.0)
CHOICES = [[3, 4, 5], [3, 4, 6], [7, 8], [9]]


def forward_shapes(
    engine: Any, queries: list[TreeQuery]
) -> tuple[list[tuple[int, ...]], list[Any]]:
    """Return the shape of the tokens of each forward, and the scores."""
    seen: list[tuple[int, ...]] = []
    hook = engine.model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(tuple(kwargs["input_ids"].shape)),
        with_kwargs=True,
    )
    try:
        answers = engine.score_trees(queries)
    finally:
        hook.remove()
    return seen, answers


def rows_engine(name: str = "llama", **options: Any) -> TfEngine:
    """Return an engine that always batches several queries as rows."""
    engine = tiny.tiny_engine(name, **options)
    engine.selection.evaluator.cost_model = ALWAYS_BATCH_ROWS  # type: ignore[attr-defined]
    return engine


def check_on(engine: TfEngine, queries: list[TreeQuery], answers: list[Any]) -> None:
    """Compare with plain forwards of the engine's model."""
    for query, answer in zip(queries, answers, strict=True):
        for node, parent in enumerate(query.parents.tolist()):
            path: list[int] = []
            while parent >= 0:
                path.insert(0, int(query.tokens[parent]))
                parent = int(query.parents[parent])
            row = plain.row(engine.model, [*query.prefix, *path])
            assert abs(answer.values[node] - row[query.tokens[node]]) < TOLERANCE


RAGGED = [[10], [10, 11, 12], [*range(20, 45)], [*range(20, 30), 50], [*range(60, 72)]]


@pytest.mark.parametrize("name", ["llama", "gpt2", "qwen3", "gemma3", "mistral"])
def test_rows_of_different_lengths_equal_plain_forwards(name: str) -> None:
    """Sliding windows (gemma3, mistral: 8 tokens) count within each row."""
    engine = rows_engine(name)
    queries = [query_of(prefix, *CHOICES[index % 3 :]) for index, prefix in enumerate(RAGGED)]
    seen, answers = forward_shapes(engine, queries)
    assert max(rows for rows, _ in seen) > 1
    check_on(engine, queries, answers)
    # Once more, with longer prefixes of which a part is cached.
    later = [query_of([*prefix, 3, 4], *CHOICES) for prefix in RAGGED] + queries[:2]
    seen, answers = forward_shapes(engine, later)
    assert max(rows for rows, _ in seen) > 1
    check_on(engine, later, answers)


def test_eager_attention_masks_rows_as_well() -> None:
    model = tiny.tiny_model("llama")
    model.set_attn_implementation("eager")
    engine = TfEngine(model, tiny.byte_level_tokenizer())
    assert not engine.selection.rejected
    engine.selection.evaluator.cost_model = ALWAYS_BATCH_ROWS  # type: ignore[attr-defined]
    queries = [query_of(prefix, *CHOICES) for prefix in RAGGED]
    seen, answers = forward_shapes(engine, queries)
    assert max(rows for rows, _ in seen) > 1
    check_on(engine, queries, answers)


def test_the_common_prefix_of_all_rows_is_evaluated_once() -> None:
    engine = tiny.tiny_engine("llama")
    engine.selection.evaluator.cost_model = ROWS_ARE_CHEAP  # type: ignore[attr-defined]
    header = list(range(10, 210))
    queries = [query_of([*header, 300 + row, 301, 302], *CHOICES) for row in range(4)]
    seen, answers = forward_shapes(engine, queries)
    # The header; then for each row, 3 tokens of the prompt and the inner nodes 3, 4 and 7.
    assert seen == [(1, 200), (4, 6)]
    assert sum(answer.tokens_evaluated for answer in answers) == 200 + 4 * 6
    check(queries, answers)
    # The header is cached.
    seen, _ = forward_shapes(engine, [query_of([*header, 400 + row], *CHOICES) for row in range(4)])
    assert seen == [(4, 4)]


def test_a_short_common_prefix_is_evaluated_in_every_row() -> None:
    engine = tiny.tiny_engine("llama")
    engine.selection.evaluator.cost_model = ROWS_ARE_CHEAP  # type: ignore[attr-defined]
    queries = [query_of([10, 11, *range(50 + row, 90 + row)], *CHOICES) for row in range(4)]
    seen, answers = forward_shapes(engine, queries)
    # Two common tokens in each of four rows.
    assert seen == [(4, 2 + 40 + 3)]
    assert sum(answer.tokens_evaluated for answer in answers) == 4 * 45
    check(queries, answers)


def test_long_rows_are_batched_and_single_tokens_after_long_texts_share_a_row() -> None:
    model = tiny.tiny_model("llama")
    cost_model = CostModel.for_model(model, model.config, torch.device("cpu"))

    def plan(queries: list[TreeQuery], cached: int = 0) -> list[list[list[int]]]:
        forest = TreeScoreCollector(queries).forest
        cache_slots = np.where(np.arange(len(forest)) < cached, np.arange(len(forest)), -1)
        limits = Limits(row_tokens=8192, batch_tokens=8192, outputs=8192)
        return BatchPlanner(forest, cache_slots, cached, limits).plan(cost_model)

    texts = [query_of([5 + row, *range(10, 400)], *CHOICES) for row in range(8)]
    assert [len(step) for step in plan(texts)] == [8]
    beams = [query_of([*range(10, 400), 420 + beam], [3], [4]) for beam in range(8)]
    assert [len(step) for step in plan(beams, cached=390)] == [1]


def test_rows_of_similar_length_share_a_forward() -> None:
    """If padding would cost more than another forward."""
    queries = [
        query_of([100 + row, *range(10, 10 + length)], *CHOICES)
        for row, length in enumerate([200, 3, 201, 4, 199, 5])
    ]
    forest = TreeScoreCollector(queries).forest
    cache_slots = np.full(len(forest), -1, dtype=np.int64)
    cost_model = CostModel(token=1.0, pair=1.0, copy=0.0, forward=20.0)
    limits = Limits(row_tokens=4096, batch_tokens=4096, outputs=4096)
    steps = BatchPlanner(forest, cache_slots, 0, limits).plan(cost_model)
    assert [sorted(map(len, step)) for step in steps] == [[203, 204, 205], [7, 8, 9]]


def test_cached_trees_stay_within_prefix_cache_bytes_with_rows_too() -> None:
    for size in (0, 200_000):
        engine = rows_engine(prefix_cache_bytes=size)
        for start in range(10, 100, 10):
            queries = [query_of([start + row, *range(10, 30)], *CHOICES) for row in range(5)]
            check(queries, engine.score_trees(queries))
            trees = engine.selection.evaluator._trees  # type: ignore[attr-defined]
            assert sum(tree.bytes for tree in trees) <= size


def test_out_of_memory_halves_the_rows_until_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = rows_engine()
    queries = [query_of([start, *range(10, 40)], *CHOICES) for start in range(100, 120)]
    max_tokens = 100
    forward = engine.model.forward

    def limited(*args: Any, **kwargs: Any) -> Any:
        if kwargs["input_ids"].numel() > max_tokens:
            raise torch.OutOfMemoryError("out of memory")
        return forward(*args, **kwargs)

    monkeypatch.setattr(engine.model, "forward", limited)
    calls: list[int] = []
    free = out_of_memory.free_memory
    monkeypatch.setattr(
        out_of_memory, "free_memory", lambda evaluator: (calls.append(1), free(evaluator))
    )
    answers = engine.score_trees(queries)
    monkeypatch.setattr(engine.model, "forward", forward)
    # 20 rows of 34 tokens; the limit goes from 512 tokens to 256, 128 and 64.
    assert len(calls) == 3
    check(queries, answers)


def test_after_an_interrupted_call_of_several_rows_the_engine_is_exact(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = rows_engine()
    queries = [query_of(prefix, *CHOICES) for prefix in RAGGED]
    engine.score_trees(queries[:2])
    layer = engine.model.model.layers[2]
    forward = layer.forward

    def interrupt(*args: Any, **kwargs: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(layer, "forward", interrupt)
    with pytest.raises(KeyboardInterrupt):
        engine.score_trees(queries)
    monkeypatch.setattr(layer, "forward", forward)
    check(queries, engine.score_trees(queries))
    engine.row([10, 11, 12, 13])


def test_a_model_that_mixes_its_rows_gets_single_rows() -> None:
    """The test at load shows it: here a layer adds the states of the first row to the others."""
    model = tiny.tiny_model("llama")
    layer = model.model.layers[1]
    forward = layer.forward

    def mixing(states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        output = forward(states, *args, **kwargs)
        return output + output[:1] if len(output) > 1 else output

    layer.forward = mixing
    engine = TfEngine(model, tiny.byte_level_tokenizer())
    assert engine.selection.evaluator.name == "one forward per tree, never several rows"
    assert "one forward per tree: differs" in engine.selection.rejected[0]
    queries = [query_of(prefix, *CHOICES) for prefix in RAGGED]
    check_on(engine, queries, engine.score_trees(queries))
