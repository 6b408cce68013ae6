"""Cached trees of the attention evaluator: continued, dropped, copied and counted, and exact."""

from __future__ import annotations

import gc
import random
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autocog_core import TreeQuery
from autocog_core.types.token_tree import TokenTree
from autocog_tf import TfLM
from autocog_tf.evaluators import attention
from tests.support.soak import count
from tests.support.tf import plain_forward as plain
from tests.support.tf import tiny_models as tiny
from tests.support.tf.tree_checks import ENGINE, TOLERANCE, check, query_of

TOKEN = st.integers(3, 7)
SEQUENCE = st.lists(TOKEN, min_size=1, max_size=5)


@st.composite
def tree_query(draw: st.DrawFn) -> TreeQuery:
    prefix = draw(st.lists(TOKEN, min_size=1, max_size=8))
    tree = TokenTree.build(draw(st.lists(SEQUENCE, max_size=5)))
    tops = draw(st.lists(st.integers(-1, len(tree.tokens) - 1), max_size=3, unique=True))
    mask = None
    if draw(st.booleans()):
        mask = np.zeros(512, dtype=bool)
        mask[draw(st.lists(st.integers(0, 511), max_size=6))] = True
    top_at = np.array(tops, dtype=np.int32)
    return TreeQuery(
        prefix=prefix,
        tokens=tree.tokens,
        parents=tree.parents,
        top_at=top_at,
        top_k=draw(st.integers(0, 4)),
        mask=mask,
    )


@pytest.mark.slow
@settings(max_examples=count(normal=10, soak=60), deadline=None)
@given(
    calls=st.lists(st.lists(tree_query(), min_size=1, max_size=3), min_size=1, max_size=5),
    chunk=st.sampled_from([1, 2, 5, 512]),
    max_unused=st.sampled_from([0, 3, 512]),
)
def test_any_sequence_of_calls_equals_plain_forwards(
    calls: list[list[TreeQuery]], chunk: int, max_unused: int
) -> None:
    """Also with chunks of one token, and if trees are copied and compacted all the time."""
    evaluator = ENGINE.selection.evaluator
    before = evaluator._chunk_tokens, attention.MAX_UNUSED_NODES
    evaluator._chunk_tokens, attention.MAX_UNUSED_NODES = chunk, max_unused
    try:
        evaluator.clear()
        for queries in calls:
            check(queries, ENGINE.score_trees(queries))
    finally:
        evaluator._chunk_tokens, attention.MAX_UNUSED_NODES = before


def count_work(engine: Any, queries: list[TreeQuery]) -> tuple[int, int, list[Any]]:
    """Return the number of forwards and tokens that the model gets, and the scores."""
    seen: list[int] = []
    hook = engine.model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    try:
        answers = engine.score_trees(queries)
    finally:
        hook.remove()
    return len(seen), sum(seen), answers


def test_a_cold_call_is_one_forward_over_prompt_and_inner_nodes() -> None:
    engine = tiny.tiny_engine("llama")
    prefix = list(range(10, 50))
    query = query_of(prefix, [3, 4, 5], [3, 4, 6], [7, 8], [9])
    forwards, tokens, answers = count_work(engine, [query])
    # Inner nodes: 3, 4, 7. Leaves are never evaluated.
    assert (forwards, tokens) == (1, 40 + 3)
    assert answers[0].tokens_evaluated == 43


def test_a_cached_prompt_costs_nothing_and_cached_branches_their_inner_nodes() -> None:
    engine = tiny.tiny_engine("llama")
    prefix = list(range(10, 50))
    count_work(engine, [query_of(prefix, [3, 4, 5], [7, 8])])
    # Three inner nodes again for their logits; the logits after the prompt are cached.
    assert count_work(engine, [query_of(prefix, [3, 4, 5], [7, 8])])[1] == 3
    # New branches after a cached prompt: the only new inner node.
    assert count_work(engine, [query_of(prefix, [20, 21], [22])])[1] == 1


def test_a_branch_is_continued_without_evaluating_anything_twice() -> None:
    """As in beam search: each step evaluates only its newest token."""
    engine = tiny.tiny_engine("llama")
    beams = [[*range(10, 40), last] for last in (3, 4, 5, 6)]
    nothing = np.zeros(0, dtype=np.int32)
    root = np.array([-1], dtype=np.int32)

    def step() -> int:
        return count_work(
            engine,
            [
                TreeQuery(prefix=beam, tokens=nothing, parents=nothing, top_at=root, top_k=1)
                for beam in beams
            ],
        )[1]

    assert step() == 30 + 4
    for token in range(50, 70):
        for beam in beams:
            beam.append(token)
        assert step() == 4


def test_rows_of_a_data_set_share_their_header() -> None:
    engine = tiny.tiny_engine("llama")
    header = list(range(10, 110))
    rows = [[*header, 200 + i, 300 + i] for i in range(5)]
    _, tokens, answers = count_work(engine, [query_of(row, [3, 4], [5]) for row in rows])
    assert tokens == 100 + 5 * (2 + 1)
    assert sum(answer.tokens_evaluated for answer in answers) == tokens
    later = [[*header, 400 + i] for i in range(5)]
    _, tokens, _ = count_work(engine, [query_of(row, [3, 4], [5]) for row in later])
    assert tokens == 5 * (1 + 1)


def test_what_is_cached_stays_within_prefix_cache_bytes_and_0_caches_nothing() -> None:
    for size in (0, 64, 200_000):
        engine = tiny.tiny_engine("llama", prefix_cache_bytes=size)
        for start in range(10, 200, 10):
            prefix = [start, *range(10, 60)]
            expected = plain.row(engine.model, prefix)
            np.testing.assert_allclose(engine.row(prefix), expected, atol=TOLERANCE)
            assert engine.cached_bytes <= size
            engine.score_trees([query_of(prefix, [3, 4], [5])])
            assert engine.cached_bytes <= size


@pytest.mark.slow
@pytest.mark.parametrize("size", [64, pytest.param(4_000_000, marks=pytest.mark.soak)])
def test_memory_is_level_after_many_different_calls(size: int) -> None:
    """Beyond what is cached, nothing grows."""
    model = TfLM(engine=tiny.tiny_engine("llama", prefix_cache_bytes=size)).as_model()
    engine = model._backend.engine  # type: ignore[attr-defined]
    process = psutil.Process()
    words = [
        "the",
        "capital",
        "of",
        "France",
        "is",
        "Paris",
        "and",
        "which",
        "machine",
        "is",
        "it",
        "1",
        "10",
        "100",
    ]
    # Core's caches of token ids are full after some thousands of texts.
    calls, settle = count(normal=150, soak=3_000), count(normal=60, soak=1_500)
    settled = 0
    for seed in range(calls):
        generator = random.Random(seed)
        prompt = " ".join(generator.choices(words, k=generator.randint(5, 40)))
        model.choose(prompt, [" yes", " no", " maybe not"])
        assert engine.cached_bytes <= size
        if seed == settle:
            gc.collect()
            settled = process.memory_info().rss
    gc.collect()
    assert process.memory_info().rss - settled < 8e6 + size


@pytest.mark.slow
def test_many_long_choices_stay_in_bounded_memory() -> None:
    """Thousands of choices of 12 tokens: chunks, and no array of nodes x vocabulary."""
    import resource

    engine = tiny.tiny_engine("llama")
    generator = np.random.default_rng(0)
    # For 3,000 choices all distributions would take 60 MB, and a mask 800 MB.
    size = count(normal=3_000, soak=10_000)
    sequences = generator.integers(3, 480, (size, 12)).tolist()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    query = query_of([5, 6, 7, 8], *sequences)
    forwards, tokens, answers = count_work(engine, [query])
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    inner = len(set(query.parents.tolist())) - 1
    assert tokens == 4 + inner
    assert forwards <= tokens / 512 + 2
    assert grown < count(normal=50, soak=1000), f"{grown:.0f} MB"
    tree = TokenTree.build(sequences)
    for choice in (0, size // 2, size - 1):
        expected = plain.token_logprobs(engine.model, [5, 6, 7, 8], sequences[choice])
        path = tree.path(choice)
        np.testing.assert_allclose(answers[0].values[path], expected, atol=TOLERANCE)


def test_after_an_interrupted_call_the_engine_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = tiny.tiny_engine("llama")
    prefix = list(range(10, 60))
    engine.row(prefix)
    layer = engine.model.model.layers[2]
    forward = layer.forward

    def interrupt(*args: Any, **kwargs: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(layer, "forward", interrupt)
    with pytest.raises(KeyboardInterrupt):
        engine.row([*prefix, 3, 4, 5])
    monkeypatch.setattr(layer, "forward", forward)
    for tokens in ([*prefix, 3, 4, 6], prefix[:20], [*prefix, 9]):
        np.testing.assert_allclose(
            engine.row(tokens), plain.row(engine.model, tokens), atol=TOLERANCE
        )
