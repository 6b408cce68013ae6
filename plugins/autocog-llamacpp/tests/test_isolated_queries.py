"""Isolated queries: no other call, and no other query, changes their numbers, to the last bit."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autocog_core import EngineError, Model, Prompt, TextPiece, TokenPiece, TreeQuery
from autocog_llamacpp import LLaMa
from autocog_llamacpp.gguf.quantize import quantize
from tests.support.llamacpp.gguf_models import SMOL
from tests.support.llamacpp.plain_llama import Plain
from tests.support.llamacpp.tree_calls import (
    ARCHITECTURES,
    BOTH,
    TOLERANCE,
    check_sequence_lengths,
    query,
)
from tests.support.llamacpp.watched_decode import WatchedDecode
from tests.support.soak import SOAK, count

WORDS = (
    *("the", "capital", "of", "France", "is", "Paris", "and", "water", "boils", "at", "many"),
    *("degrees", "why", "do", "birds", "sing", "in", "spring", "1", "10", "list", "of", "words"),
)
CHOICES = [" yes", " no", " maybe not"]


@pytest.fixture(scope="module")
def quantized_file(gguf_file: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny file with weights in Q4_0."""
    target = tmp_path_factory.mktemp("tiny") / "llama-q4_0.gguf"
    quantize(gguf_file("llama"), target, "Q4_0")
    return str(target)


class Calls:
    """Random calls on one model: isolated queries, and others between them."""

    def __init__(self, model: Any, seed: int) -> None:
        self.model = model
        self.drawn = random.Random(seed)
        self.size = model.as_model().info.vocabulary_size
        self.starts = [self.tokens(self.drawn.choice([0, 1, 7, 60])) for _ in range(3)]

    def tokens(self, count: int) -> list[int]:
        return [self.drawn.randrange(self.size) for _ in range(count)]

    def query(self) -> TreeQuery:
        start = self.drawn.choice(self.starts)
        rest = self.tokens(self.drawn.choice([1, 3, 20]))
        few = self.tokens(3)
        choices = [
            [self.drawn.choice(few) for _ in range(self.drawn.randrange(1, 5))]
            for _ in range(self.drawn.choice([1, 3, 9, 30]))
        ]
        return query([*start, *rest], choices, isolated_start=len(start))

    def ask(self, queries: Sequence[TreeQuery]) -> list[Any]:
        answers = self.model.as_model().client.greedy_tree(queries)
        return [answer.values.tolist() for answer in answers]

    def disturb(self, queries: Sequence[TreeQuery]) -> None:
        """Make another call, which begins as one of the queries, or not."""
        begun = list(self.drawn.choice(queries).prefix)
        prompt = begun[: self.drawn.randrange(1, len(begun) + 1)] + self.tokens(2)
        match self.drawn.randrange(5):
            case 0:
                self.model.engine.row(prompt)
            case 1:
                self.ask([query(prompt, [self.tokens(2), self.tokens(3)])])
            case 2:
                self.ask([replace(self.drawn.choice(queries), isolated_start=None)])
            case 3:
                self.model.complete(
                    Prompt((TokenPiece(tuple(prompt)),)),
                    max_tokens=3,
                    n=self.drawn.choice([1, 2]),
                    temperature=1.0,
                    seed=1,
                )
            case _:
                self.model.engine.clear_caches()


OPTIONS = {
    "few sequences": {"n_seq_max": 2},
    "small batches": {"n_batch": 16, "n_ubatch": 8, "n_seq_max": 5},
    "few cells": {"n_ctx": 96},
    "no prefix cache": {"prefix_cache": False},
}


@BOTH
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_numbers_depend_on_the_query_alone(
    make_llama: Any, architecture: str, native: bool
) -> None:
    check_isolation(make_llama(architecture, exact=False), seed=len(architecture))


@pytest.mark.parametrize("options", OPTIONS.values(), ids=list(OPTIONS))
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_so_they_do_in_a_small_memory(
    make_llama: Any, architecture: str, options: dict[str, Any], native: bool
) -> None:
    check_isolation(make_llama(architecture, exact=False, **options), seed=len(options))


def check_isolation(model: Any, seed: int) -> None:
    """Compare the numbers of isolated queries after other calls, and in company of others."""
    calls = Calls(model, seed)
    queries = [calls.query() for _ in range(count(normal=5, soak=40))]
    first = [calls.ask([asked])[0] for asked in queries]
    for _ in range(count(normal=1, soak=20)):
        order = calls.drawn.sample(range(len(queries)), len(queries))
        for index in order:
            calls.disturb(queries)
            assert calls.ask([queries[index]]) == [first[index]]
            check_sequence_lengths(model)
        others = [query(calls.tokens(9), [calls.tokens(3)]) for _ in range(2)]
        together = calls.ask([others[0], *(queries[index] for index in order), others[1]])
        assert together[1:-1] == [first[index] for index in order]
        check_sequence_lengths(model)


@BOTH
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_numbers_are_those_of_the_model(
    make_llama: Any, gguf_file: Any, architecture: str, native: bool
) -> None:
    model, plain = make_llama(architecture), Plain(gguf_file(architecture))
    calls = Calls(model, seed=7)
    for _ in range(count(normal=5, soak=50)):
        asked = calls.query()
        expected = plain.values(asked)
        assert np.abs(np.subtract(expected, calls.ask([asked])[0])).max() <= TOLERANCE[architecture]


@BOTH
def test_a_quantized_file_gives_equal_numbers_where_other_calls_differ(
    quantized_file: str, native: bool
) -> None:
    model = LLaMa(
        **LLaMa.create(model_path=quantized_file, n_ctx=256, n_threads=2, use_extension=native)
    )
    check_isolation(model, seed=3)
    calls = Calls(model, seed=3)
    queries = [calls.query() for _ in range(8)]
    # Otherwise, company changes the numbers.
    plain = [replace(asked, isolated_start=None) for asked in queries]
    alone = []
    for asked in plain:
        model.engine.clear_caches()
        alone.append(calls.ask([asked])[0])
    model.engine.clear_caches()
    assert calls.ask(plain) != alone
    model.close()


@BOTH
def test_queries_with_the_same_start_evaluate_it_once(make_llama: Any, native: bool) -> None:
    model = make_llama().as_model()
    state = TextPiece("the capital of France is Paris, and water boils at many degrees.\n")
    other = TextPiece("why do birds sing in spring? the list of words is 1 and 10.\n")
    prompts = [
        (piece, TextPiece(f"the {word} is")) for word in WORDS[:4] for piece in (state, other)
    ]
    results = model.choose_many(prompts, CHOICES, isolate=True)
    counted = [result.tokens_evaluated or 0 for result in results]
    with_start = min(len(model.encode(piece.text)) for piece in (state, other))
    assert [tokens > with_start for tokens in counted].count(True) == 2


@BOTH
def test_an_isolated_call_inside_a_completion_is_refused(make_llama: Any, native: bool) -> None:
    model: Model = make_llama().as_model()
    before = model.choose("the capital", CHOICES, isolate=True)
    refused = []

    def on_text(piece: str) -> None:
        with pytest.raises(EngineError, match="isolate: an isolated call needs the memory"):
            model.choose("the capital", CHOICES, isolate=True)
        refused.append(piece)

    alone = model.complete("the capital", max_tokens=3)
    nested = model.complete("the capital", max_tokens=3, on_text=on_text)
    assert refused
    assert nested.tokens == alone.tokens
    assert model.choose("the capital", CHOICES, isolate=True).scores == before.scores


@pytest.mark.parametrize("native", [False], ids=["python"], indirect=True)
def test_after_a_failed_decode_the_numbers_are_the_same(
    make_llama: Any, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = WatchedDecode(monkeypatch)
    model = make_llama(exact=False)
    calls = Calls(model, seed=5)
    asked = query(calls.tokens(30), [calls.tokens(2), calls.tokens(3)], isolated_start=20)
    (first,) = calls.ask([asked])
    assert watched.sizes[0] == 20
    for failing in (1, 2):
        calls.disturb([asked])
        model.engine.clear_caches()
        watched.fail_at = len(watched.sizes) + failing
        with pytest.raises(EngineError, match="could not evaluate"):
            calls.ask([asked])
        assert calls.ask([asked]) == [first]


@pytest.mark.parametrize("start", [-1, 3, 100])
@pytest.mark.parametrize("native", [True], ids=["native"], indirect=True)
def test_the_extension_refuses_a_start_that_is_not_before_the_end(
    make_llama: Any, native: bool, start: int
) -> None:
    session = make_llama().engine.session
    with pytest.raises(EngineError, match="isolated_start is not below the length of the prefix"):
        session.score_isolated(query([1, 2, 3], [[4, 5]], isolated_start=start))


@pytest.fixture(scope="module")
def smol_model() -> Iterator[Model]:
    """SmolLM2, Q4_1, with its prefix cache."""
    options = {"n_ctx": 1024, "n_threads": 2 if SOAK else 1}
    with LLaMa(**LLaMa.create(model_path=SMOL, **options)).as_model() as model:
        yield model


@pytest.mark.slow
def test_quantized_choices_do_not_depend_on_history_and_company(smol_model: Model) -> None:
    drawn = random.Random(22)

    def text(most: int) -> str:
        return " ".join(drawn.choices(WORDS, k=drawn.randint(1, most)))

    states = [TextPiece(f"{text(8)}.\n") for _ in range(3)]

    def request() -> tuple[Any, list[str]]:
        choices = sorted({f" {text(2)}" for _ in range(drawn.randint(2, 3))})
        return (drawn.choice(states), TextPiece(f"{text(4)}?\nAnswer:")), choices

    requests = [request() for _ in range(count(normal=10, soak=200))]
    together = smol_model.choose_many(*zip(*requests, strict=True), isolate=True)
    for index in drawn.sample(range(len(requests)), len(requests)):
        prompt, choices = requests[index]
        match drawn.randrange(7):
            case 0:
                smol_model.choose(prompt, choices)
            case 1:
                smol_model.complete(prompt, max_tokens=2)
            case 2:
                smol_model.choose(drawn.choice(states), choices, isolate=True)
            case 3:
                smol_model.greedy(drawn.choice(states).text)
        alone = smol_model.choose(prompt, choices, isolate=True)
        assert alone.scores == together[index].scores
