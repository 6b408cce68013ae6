"""Rows of tokens from tree queries: every way to evaluate them gives what core's default gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from autocog_core import ContractError, Model, TreeQuery, load
from autocog_core.model.core_hooks import CoreDefaults
from autocog_core.toolkit import Row, RowBatch, RowBatches
from autocog_core.types.token_tree import TokenTree
from tests.support.soak import count

TOKEN = st.integers(3, 6)


MODEL = load(backend="random")
SIZE = MODEL.info.vocabulary_size


@st.composite
def tree_query(draw: st.DrawFn) -> TreeQuery:
    shared = draw(st.sampled_from([[], [3, 3, 4], [3, 3, 4, 5, 5, 6, 3]]))
    prefix = [*shared, *draw(st.lists(TOKEN, min_size=1, max_size=4))]
    tree = TokenTree.build(draw(st.lists(st.lists(TOKEN, min_size=1, max_size=5), max_size=6)))
    tops = draw(st.lists(st.integers(-1, len(tree.tokens) - 1), max_size=3, unique=True))
    mask = None
    if draw(st.booleans()):
        mask = np.zeros(SIZE, dtype=bool)
        mask[draw(st.lists(st.integers(0, SIZE - 1), max_size=6))] = True
    return TreeQuery(
        prefix=prefix,
        tokens=tree.tokens,
        parents=tree.parents,
        top_at=np.array(tops, dtype=np.int32),
        top_k=draw(st.integers(0, 4)),
        mask=mask,
        with_mask_logprobs=mask is not None and draw(st.booleans()),
    )


class Engine:
    """What a batching engine does, in the slowest way: each position from its own text."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.texts: list[tuple[int, ...]] = []

    def logits(self, text: list[int]) -> NDArray[np.float32]:
        row = self.model.client.greedy(text)
        # Logits are log-probabilities with any constant added.
        return row + np.float32(len(text) % 3)

    def evaluate(self, batch: RowBatch) -> Iterator[tuple[Row, NDArray[np.float32]]]:
        self.texts += [tuple(batch.prefix[: end + 1]) for end in range(len(batch.prefix))]
        tokens, lengths = batch.padded(-7), batch.lengths()
        for row, line, length in zip(batch.rows, tokens.tolist(), lengths.tolist(), strict=True):
            assert row.tokens == line[:length]
            assert set(line[length:]) <= {-7}
            texts = list(texts_of(row))
            self.texts += map(tuple, texts)
            logits = np.stack([self.logits(text) for text in texts])
            yield row, logits[list(row.positions)]


def texts_of(row: Row) -> Iterator[list[int]]:
    """Yield the text up to each token, as the mask and the depths have it."""
    start, mask = len(row.prefix), row.mask()
    everything = [*row.prefix, *row.tokens]
    for index, depth in enumerate(row.depths().tolist()):
        attended = np.flatnonzero(mask[index]).tolist()
        assert attended[:start] == list(range(start))
        assert attended[-1] == start + index
        assert depth == len(attended) - 1
        yield [everything[place] for place in attended]


def check(queries: list[TreeQuery], **options: Any) -> Engine:
    """Compare the scores with those of core's default, and what was evaluated with its count."""
    engine = Engine(MODEL)
    batches = RowBatches(queries, vocabulary_size=SIZE, **options)
    for batch in batches:
        check_limits(batch, **options)
        for row, logits in engine.evaluate(batch):
            batches.take(row, logits)
    expected = CoreDefaults(MODEL.client).greedy_tree_impl(queries)
    scores = batches.scores()
    for ours, slow in zip(scores, expected, strict=True):
        np.testing.assert_allclose(ours.values, slow.values, atol=1e-6)
        assert ours.top_tokens.tolist() == slow.top_tokens.tolist()
        np.testing.assert_allclose(ours.top_logprobs, slow.top_logprobs, atol=1e-6)
        if slow.mask_logprobs is not None:
            np.testing.assert_allclose(ours.mask_logprobs, slow.mask_logprobs, atol=1e-6)
    assert sum(answer.tokens_evaluated for answer in scores) == len(engine.texts)
    return engine


def check_limits(
    batch: RowBatch,
    *,
    max_tokens: int = 4096,
    max_logits_bytes: int = 1 << 28,
    padding: bool = True,
    reads_all: bool = True,
    as_tree: bool = False,
    **_: Any,
) -> None:
    lengths = batch.lengths().tolist()
    assert padding or len(set(lengths)) == 1
    assert all(row.positions for row in batch.rows)
    if len(lengths) == 1 and not as_tree:
        return
    tokens = len(lengths) * (len(batch.prefix) * (not as_tree) + max(lengths))
    reads = len(lengths) * max(lengths)
    if not reads_all:
        reads = sum(len(row.positions) for row in batch.rows)
    # A tree of a single text cannot be smaller.
    is_single_text = lengths == [len(set(batch.rows[0].parents))]
    assert is_single_text or (tokens <= max_tokens and reads * SIZE * 4 <= max_logits_bytes)


@settings(max_examples=count(normal=40, soak=2000), deadline=None)
@given(
    queries=st.lists(tree_query(), max_size=4),
    max_tokens=st.sampled_from([1, 12, 40, 4096]),
    max_reads=st.sampled_from([1, 5, 1000]),
    flags=st.fixed_dictionaries(
        dict.fromkeys(["padding", "reads_all", "keep_prefix", "as_tree"], st.booleans())
    ),
)
def test_every_way_gives_the_scores_of_the_default(
    queries: list[TreeQuery], max_tokens: int, max_reads: int, flags: dict[str, bool]
) -> None:
    check(queries, max_tokens=max_tokens, max_logits_bytes=max_reads * SIZE * 4, **flags)


def count_tokens(queries: list[TreeQuery], **options: Any) -> int:
    """Return how many tokens the engine evaluates, if nothing limits a batch."""
    total = 0
    for batch in RowBatches(queries, vocabulary_size=SIZE, max_tokens=1 << 40, **options):
        total += len(batch.prefix) + int(batch.lengths().sum())
    return total


@settings(max_examples=count(normal=40, soak=2000), deadline=None)
@given(queries=st.lists(tree_query(), max_size=5))
def test_together_and_with_more_abilities_queries_never_take_more_tokens(
    queries: list[TreeQuery],
) -> None:
    kept = count_tokens(queries, keep_prefix=True)
    assert kept <= sum(count_tokens([query], keep_prefix=True) for query in queries)
    tree = count_tokens(queries, as_tree=True)
    assert tree <= kept
    assert tree <= count_tokens(queries)


def query_of(prefix: list[int], *sequences: list[int]) -> TreeQuery:
    tree = TokenTree.build(sequences)
    return TreeQuery(prefix=prefix, tokens=tree.tokens, parents=tree.parents)


HEADER = list(range(10, 40))
#: Their inner nodes are 3, 4 after 3, and 8. Rows end at 4 and at 8.
CHOICES = [[3, 4, 5], [3, 4, 6], [3, 7], [8, 9]]


@pytest.mark.parametrize(
    ("options", "evaluated"),
    [
        ({}, 32 + 31),
        # The last token of the prompt begins each row.
        ({"keep_prefix": True}, 29 + 3 + 2),
        ({"as_tree": True}, 30 + 3),
        ({"as_tree": True, "keep_prefix": True}, 29 + 1 + 3),
        # One row at a time: each repeats the prefix.
        ({"keep_prefix": True, "max_tokens": 1}, 29 + 3 + 29 + 2),
    ],
)
def test_a_choice_takes_few_tokens(options: dict[str, Any], evaluated: int) -> None:
    assert len(check([query_of(HEADER, *CHOICES)], **options).texts) == evaluated


@pytest.mark.parametrize(
    ("queries", "prefixes"),
    [
        # Beams: one shared prefix, and a row for each.
        ([query_of([*HEADER, last], [3]) for last in (50, 51, 52)], [HEADER]),
        # Rows of a data set: each its own text with its choices.
        (
            [query_of([*HEADER[:5], *range(row, row + 40)], *CHOICES) for row in (50, 100)],
            [[*HEADER[:5], *range(row, row + 39)] for row in (50, 100)],
        ),
        # A text that goes on after another query's text keeps its own prefix.
        (
            [query_of(HEADER, [3]), query_of([*HEADER, *HEADER], *CHOICES)],
            [HEADER[:-1], [*HEADER, *HEADER[:-1]]],
        ),
        ([query_of([5], *CHOICES)], [[]]),
        # Nothing in common: one batch, without a prefix.
        ([query_of([5], [3]), query_of([6], [3])], [[]]),
    ],
    ids=["beams", "data-set", "continued", "one-token", "nothing"],
)
def test_the_cheapest_prefixes_are_kept(
    queries: list[TreeQuery], prefixes: list[list[int]]
) -> None:
    batches = RowBatches(queries, vocabulary_size=SIZE, keep_prefix=True)
    assert [list(batch.prefix) for batch in batches] == prefixes
    check(queries, keep_prefix=True)


def test_a_reused_prefix_is_not_counted() -> None:
    batches = RowBatches([query_of(HEADER, *CHOICES)], vocabulary_size=SIZE, keep_prefix=True)
    (batch,) = batches
    with pytest.raises(ContractError, match="30 tokens cannot be reused from a prefix of 29"):
        batch.reuse(30)
    batch.reuse(20)
    for row, logits in Engine(MODEL).evaluate(batch):
        batches.take(row, logits)
    assert batches.scores()[0].tokens_evaluated == 9 + 3 + 2
    with pytest.raises(ContractError, match="counted already"):
        batch.reuse(0)


def test_mistakes_are_named_at_once() -> None:
    batches = RowBatches([query_of(HEADER, *CHOICES)], vocabulary_size=SIZE, max_tokens=1)
    first = next(iter(batches)).rows[0]
    row = "row 0 \\(32 tokens: 10, 11, 12, 13, 14, ...\\)"
    rows = np.zeros((len(first.positions), SIZE), dtype=np.float32)
    for wrong in (rows[:-1], rows[:, :-1], rows[0], np.zeros((32, SIZE))):
        with pytest.raises(ContractError, match=rf"{row} got logits of the shape .*, not \(3, "):
            batches.take(first, wrong)
    with pytest.raises(ContractError, match=f"1 of 1 rows were not answered: first {row}"):
        batches.scores()
    batches.take(first, rows)
    with pytest.raises(ContractError, match=f"{row} was answered before"):
        batches.take(first, rows)
    with pytest.raises(
        ContractError, match="not all batches were evaluated, only the first 1 rows"
    ):
        batches.scores()
    other = next(iter(RowBatches([query_of(HEADER, *CHOICES)], vocabulary_size=SIZE))).rows[1]
    with pytest.raises(ContractError, match=r"row 1 .* is not of these batches"):
        RowBatches([query_of(HEADER, [3])], vocabulary_size=SIZE).take(other, rows)
    with pytest.raises(ContractError, match="max_tokens is 0"):
        RowBatches([], vocabulary_size=SIZE, max_tokens=0)
