"""Several queries' trees side by side in one forward: exact, shared, in bounded memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from autocog_core import TreeQuery
from autocog_core.toolkit.tree_answers import TreeScoreCollector
from autocog_tf.engine import TfEngine
from autocog_tf.evaluators import out_of_memory
from autocog_tf.evaluators.batch_plan import NEVER_BATCH, BatchPlanner, CostModel, Limits
from tests.support.tf import plain_forward as plain
from tests.support.tf import tiny_models as tiny
from tests.support.tf.tree_checks import check, query_of

TOLERANCE = 1e-4
ROWS_ARE_CHEAP = CostModel(token=1.0, pair=1.0, copy=0.0, forward=100.0)
CHOICES = [[3, 4, 5], [3, 4, 6], [7, 8], [9]]


def shapes(engine: Any, queries: list[TreeQuery]) -> tuple[list[tuple[int, ...]], list[Any]]:
    """What the model is given, forward by forward, and the answers."""
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
    """An engine that lets rows go side by side wherever there are several."""
    engine = tiny.tiny_engine(name, **options)
    engine.selection.evaluator.costs = NEVER_BATCH  # type: ignore[attr-defined]
    return engine


def check_on(engine: TfEngine, queries: list[TreeQuery], answers: list[Any]) -> None:
    """Against plain forwards of this very model."""
    for query, answer in zip(queries, answers, strict=True):
        for place, parent in enumerate(query.parents.tolist()):
            path: list[int] = []
            while parent >= 0:
                path.insert(0, int(query.tokens[parent]))
                parent = int(query.parents[parent])
            row = plain.row(engine.model, [*query.prefix, *path])
            assert abs(answer.values[place] - row[query.tokens[place]]) < TOLERANCE


RAGGED = [[10], [10, 11, 12], [*range(20, 45)], [*range(20, 30), 50], [*range(60, 72)]]


@pytest.mark.parametrize("name", ["llama", "gpt2", "qwen3", "gemma3", "mistral"])
def test_rows_of_different_lengths_equal_plain_forwards(name: str) -> None:
    """Sliding windows (gemma3, mistral: 8 tokens) count within each row."""
    engine = rows_engine(name)
    queries = [query_of(prefix, *CHOICES[number % 3 :]) for number, prefix in enumerate(RAGGED)]
    seen, answers = shapes(engine, queries)
    assert max(rows for rows, _ in seen) > 1
    check_on(engine, queries, answers)
    # Once more, on what is kept now, and with more after it.
    later = [query_of([*prefix, 3, 4], *CHOICES) for prefix in RAGGED] + queries[:2]
    seen, answers = shapes(engine, later)
    assert max(rows for rows, _ in seen) > 1
    check_on(engine, later, answers)


def test_eager_attention_masks_rows_as_well() -> None:
    model = tiny.tiny_model("llama")
    model.set_attn_implementation("eager")
    engine = TfEngine(model, tiny.byte_level_tokenizer())
    assert not engine.selection.rejected
    engine.selection.evaluator.costs = NEVER_BATCH  # type: ignore[attr-defined]
    queries = [query_of(prefix, *CHOICES) for prefix in RAGGED]
    seen, answers = shapes(engine, queries)
    assert max(rows for rows, _ in seen) > 1
    check_on(engine, queries, answers)


def test_what_all_rows_begin_with_is_evaluated_once() -> None:
    engine = tiny.tiny_engine("llama")
    engine.selection.evaluator.costs = ROWS_ARE_CHEAP  # type: ignore[attr-defined]
    header = list(range(10, 210))
    queries = [query_of([*header, 300 + row, 301, 302], *CHOICES) for row in range(4)]
    seen, answers = shapes(engine, queries)
    # Predicted: the header; then 3 tokens of the prompt and the inner nodes 3, 4 and 7 a row.
    assert seen == [(1, 200), (4, 6)]
    assert sum(answer.tokens_evaluated for answer in answers) == 200 + 4 * 6
    check(queries, answers)
    # The header is kept, and so is everything else.
    seen, _ = shapes(engine, [query_of([*header, 400 + row], *CHOICES) for row in range(4)])
    assert seen == [(4, 4)]


def test_a_short_common_beginning_costs_no_forward_of_its_own() -> None:
    engine = tiny.tiny_engine("llama")
    engine.selection.evaluator.costs = ROWS_ARE_CHEAP  # type: ignore[attr-defined]
    queries = [query_of([10, 11, *range(50 + row, 90 + row)], *CHOICES) for row in range(4)]
    seen, answers = shapes(engine, queries)
    # Two common tokens, evaluated in each of four rows.
    assert seen == [(4, 2 + 40 + 3)]
    assert sum(answer.tokens_evaluated for answer in answers) == 4 * 45
    check(queries, answers)


def test_rows_that_attend_far_go_apart_and_single_tokens_after_long_texts_do_not() -> None:
    model = tiny.tiny_model("llama")
    costs = CostModel.of(model, model.config, torch.device("cpu"))

    def steps(queries: list[TreeQuery], known: int = 0) -> list[list[list[int]]]:
        forest = TreeScoreCollector(queries).forest
        place = np.where(np.arange(len(forest)) < known, np.arange(len(forest)), -1)
        return BatchPlanner(forest, place, known, Limits(8192, 8192, 8192)).steps(costs)

    texts = [query_of([5 + row, *range(10, 400)], *CHOICES) for row in range(8)]
    assert [len(step) for step in steps(texts)] == [8]
    beams = [query_of([*range(10, 400), 420 + beam], [3], [4]) for beam in range(8)]
    assert [len(step) for step in steps(beams, known=390)] == [1]


def test_rows_of_one_length_stand_together() -> None:
    """Padding would cost more than another forward."""
    queries = [
        query_of([100 + row, *range(10, 10 + length)], *CHOICES)
        for row, length in enumerate([200, 3, 201, 4, 199, 5])
    ]
    forest = TreeScoreCollector(queries).forest
    place = np.full(len(forest), -1, dtype=np.int64)
    costs = CostModel(token=1.0, pair=1.0, copy=0.0, forward=20.0)
    found = BatchPlanner(forest, place, 0, Limits(4096, 4096, 4096)).steps(costs)
    assert [sorted(map(len, step)) for step in found] == [[203, 204, 205], [7, 8, 9]]


def test_kept_bytes_stay_within_the_option_with_rows_too() -> None:
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
    most = 100
    forward = engine.model.forward

    def limited(*args: Any, **kwargs: Any) -> Any:
        if kwargs["input_ids"].numel() > most:
            raise torch.OutOfMemoryError("out of memory")
        return forward(*args, **kwargs)

    monkeypatch.setattr(engine.model, "forward", limited)
    asked: list[int] = []
    free = out_of_memory.free_memory
    monkeypatch.setattr(out_of_memory, "free_memory", lambda one: (asked.append(1), free(one)))
    answers = engine.score_trees(queries)
    monkeypatch.setattr(engine.model, "forward", forward)
    # 20 rows of 34 tokens, from 512 tokens to 256, 128, 64.
    assert len(asked) == 3
    check(queries, answers)


def test_an_interrupt_amid_rows_leaves_the_engine_exact(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_model_that_mixes_its_rows_up_is_not_given_several() -> None:
    """Tried at load: here a layer adds the first row's states to the others."""
    model = tiny.tiny_model("llama")
    layer = model.model.layers[1]
    forward = layer.forward

    def mixing(states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        found = forward(states, *args, **kwargs)
        if len(found) > 1:
            found = found + found[:1]
        return found

    layer.forward = mixing
    engine = TfEngine(model, tiny.byte_level_tokenizer())
    assert engine.selection.evaluator.name == "one forward a tree, never several rows"
    assert "one forward a tree: differs" in engine.selection.rejected[0]
    queries = [query_of(prefix, *CHOICES) for prefix in RAGGED]
    check_on(engine, queries, engine.score_trees(queries))
