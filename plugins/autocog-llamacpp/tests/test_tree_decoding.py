"""Trees by sequence sets and by copied states, against single sequences without a cache."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from autocog_core import TreeQuery
from tests.support.llamacpp.plain_llama import Plain
from tests.support.llamacpp.tree_calls import (
    ARCHITECTURES,
    BOTH,
    TOLERANCE,
    check_sequence_lengths,
    query,
)
from tests.support.llamacpp.watched_decode import WatchedDecode
from tests.support.soak import count

pytestmark = BOTH


def score(model: Any, *queries: TreeQuery) -> list[Any]:
    """Score queries, and check the bookkeeping against llama.cpp's memory."""
    answers: list[Any] = model.as_model().client.greedy_tree(list(queries))
    check_sequence_lengths(model)
    return answers


@pytest.fixture
def reference(gguf_file: Any) -> Any:
    made: dict[str, Plain] = {}

    def of(architecture: str) -> Plain:
        if architecture not in made:
            made[architecture] = Plain(gguf_file(architecture))
        return made[architecture]

    return of


@pytest.mark.slow
@pytest.mark.parametrize("sequences", [3, 64])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_random_calls_equal_the_reference(
    make_llama: Any, reference: Any, architecture: str, sequences: int
) -> None:
    """With few sequences, cells and batch tokens: the calls need several decodes and evictions."""
    model = make_llama(architecture, n_ctx=256, n_batch=16, n_seq_max=sequences)
    plain = reference(architecture)
    drawn = random.Random(sequences)
    size = model.as_model().info.vocabulary_size
    base = [drawn.randrange(size) for _ in range(60)]
    for number in range(count(9, 60)):
        queries = []
        for _ in range(drawn.choice([1, 1, 2, 3])):
            prefix = base[: drawn.randrange(1, 60)]
            prefix += [drawn.randrange(size) for _ in range(drawn.choice([0, 0, 1, 5]))]
            choices = [
                [drawn.choice(base[:4]) for _ in range(drawn.randrange(1, 6))]
                for _ in range(drawn.randrange(1, 12))
            ]
            queries.append(query(prefix, choices))
        answers = score(model, *queries)
        if number % 3 == 0:
            for asked, answer in zip(queries, answers, strict=True):
                apart = np.abs(plain.values(asked) - answer.values).max()
                assert apart <= TOLERANCE[architecture], f"call {number}: {apart:.3g} nats apart"


@pytest.mark.parametrize("architecture", ["llama", "lfm2"])
def test_top_tokens_at_nodes(make_llama: Any, reference: Any, architecture: str) -> None:
    model, plain = make_llama(architecture), reference(architecture)
    mask = np.zeros(model.as_model().info.vocabulary_size, dtype=bool)
    mask[::3] = True
    at = np.array([-1, 1], dtype=np.int32)
    asked = query([5, 6, 7], [[8, 9], [8, 10]], top_at=at, top_k=4, mask=mask)
    answer = score(model, asked)[0]
    for row, path in enumerate([[5, 6, 7], [5, 6, 7, 8, 9]]):
        expected = np.where(mask, plain.row(path), -np.inf)
        best = np.argsort(-expected, kind="stable")[:4]
        assert answer.top_tokens[row].tolist() == best.tolist()
        assert np.abs(answer.top_logprobs[row] - expected[best]).max() < 1e-4


def test_cached_tokens_are_not_evaluated_again(make_llama: Any) -> None:
    """The prompt once, inner nodes once per call, shared prefixes once for all rows."""
    model = make_llama()
    prompt = list(range(40, 90))
    choices = [[1, 2, 3], [1, 4], [5]]
    inner = 2  # [1] and [1, 2]; what follows the prompt is read after its last token
    assert score(model, query(prompt, choices))[0].tokens_evaluated == len(prompt) + inner
    # What follows the prompt is kept.
    assert score(model, query(prompt, choices))[0].tokens_evaluated == inner
    assert score(model, query(prompt, [[7, 8], [9]]))[0].tokens_evaluated == 1
    longer = [*prompt, 1, 2, 3]
    assert score(model, query(longer, [[4], [5]]))[0].tokens_evaluated <= 4
    rows = [query([*prompt, 200 + n, 9], [[1], [2]]) for n in range(5)]
    assert sum(answer.tokens_evaluated for answer in score(model, *rows)) == 5 * 2
    # A strict prefix of what is in memory.
    assert score(model, query(prompt[:20], [[1], [2]]))[0].tokens_evaluated == 1


def test_several_recent_prompts_stay_in_memory(make_llama: Any) -> None:
    model = make_llama(n_ctx=256, n_seq_max=16)
    prompts = [[n, *range(30, 60)] for n in range(5)]
    choices = [[1, n] for n in range(2, 12)]
    for prompt in prompts:
        score(model, query(prompt, choices))
    again = [score(model, query(prompt, choices))[0].tokens_evaluated for prompt in prompts]
    # The inner node of the choices; what follows the prompts is kept.
    assert again == [1] * len(prompts)


def test_unused_sequences_are_evicted(make_llama: Any) -> None:
    model = make_llama(n_ctx=256)
    for start in range(8):
        prompt = [start, *range(10, 210)]
        assert score(model, query(prompt, [[1], [2]]))[0].tokens_evaluated == len(prompt)


def test_more_branches_than_sequences_and_batch_tokens(make_llama: Any, reference: Any) -> None:
    model = make_llama(n_seq_max=2, n_batch=2)
    choices = [[n, n + 1, n + 2] for n in range(0, 60, 3)]
    asked = query([100, 101, 102, 103], choices)
    answer = score(model, asked)[0]
    assert np.abs(reference("llama").values(asked) - answer.values).max() < 1e-4
    # The prompt once, and two inner nodes a choice.
    assert answer.tokens_evaluated == 4 + 2 * len(choices)


def test_a_path_as_long_as_the_context(make_llama: Any) -> None:
    model = make_llama(n_ctx=256)
    prompt = [number % 200 for number in range(255)]
    score(model, query(prompt, [[1], [2]]))
    score(model, query(prompt[:-3], [[1, 2, 3], [4, 5, 6], [7, 8, 9]]))
    score(model, query(prompt, [[1], [2]]))


@pytest.mark.parametrize("architecture", ["mamba", "lfm2"])
def test_states_are_cached_where_later_calls_continue(make_llama: Any, architecture: str) -> None:
    model = make_llama(architecture)
    prompt = list(range(40, 90))
    choices = [[1, 2, 3], [1, 4], [5]]
    first = score(model, query(prompt, choices))[0].tokens_evaluated
    assert first == len(prompt) + 2
    assert score(model, query(prompt, choices))[0].tokens_evaluated == 3
    # What follows the prompt was kept, so that the state is after it: a longer one goes on there.
    assert score(model, query([*prompt, 1, 2], [[3], [4]]))[0].tokens_evaluated == 2


@pytest.mark.parametrize("architecture", ["mamba", "lfm2"])
def test_forks_within_forks_with_few_states(
    make_llama: Any, reference: Any, architecture: str
) -> None:
    model = make_llama(architecture, n_seq_max=2)
    choices = [[a, b, c, d] for a in (1, 2) for b in (3, 4) for c in (5, 6) for d in (7, 8)]
    asked = query([50, 51, 52], [[*choice, 9] for choice in choices])
    answer = score(model, asked)[0]
    assert np.abs(reference(architecture).values(asked) - answer.values).max() < 1e-4


def test_tokens_removed_by_a_sliding_window_are_evaluated_again(
    make_llama: Any, reference: Any
) -> None:
    """With a sliding window, llama.cpp reuses cells of old tokens, which shorter prompts need."""
    model = make_llama("gemma3", n_ctx=256, n_batch=32)
    plain = reference("gemma3")
    drawn = random.Random(0)
    long = [drawn.randrange(200) for _ in range(200)]
    for length in (200, 20, 150, 60, 199, 5, 120):
        asked = query(long[:length], [[1, 2], [3, 4]])
        answer = score(model, asked)[0]
        assert np.abs(plain.values(asked) - answer.values).max() < 1e-3
        score(model, query([length, *long[:90]], [[1], [2]]))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_failure_in_the_middle_leaves_a_usable_model(
    make_llama: Any, reference: Any, architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from autocog_core import EngineError

    decode = WatchedDecode(monkeypatch)
    model = make_llama(architecture, n_batch=4, n_seq_max=4)
    asked = query(list(range(40)), [[1, 2], [3]])
    decode.fail_at = 4
    with pytest.raises(EngineError, match=r"could not evaluate a batch \(code -3\)"):
        score(model, asked)
    answer = score(model, asked)[0]
    assert (
        np.abs(reference(architecture).values(asked) - answer.values).max()
        < TOLERANCE[architecture]
    )
