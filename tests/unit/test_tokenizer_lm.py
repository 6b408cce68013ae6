"""`TokenizerLM`: rows from trees or from the engine, and the life of an engine."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import autocog_core
from autocog_core import (
    BackendInfo,
    BackendOptions,
    CapabilityError,
    ClosedError,
    ContractError,
    Model,
    PluginBrokenError,
    TokenizerLM,
    TreeQuery,
    TreeScores,
    toolkit,
)
from autocog_core.toolkit import NumpyScoreCollector
from tests.support.small_backends import uniform


class Bytes:
    """A tokenizer whose tokens are bytes."""

    def tokenize(
        self, texts: Sequence[str], at_start: bool, parse_special: bool
    ) -> list[list[int]]:
        return [list(text.encode()) for text in texts]

    def detokenize(self, tokens: Sequence[int]) -> bytes:
        return bytes(tokens)

    def vocabulary(self) -> list[bytes]:
        return [bytes([byte]) for byte in range(256)]

    def chat_prompt(self, *arguments: Any) -> None:
        return None


class Engine:
    """Prefers the byte after the last one; counts how often it is closed."""

    closed = 0

    def __init__(self) -> None:
        self.tokenizer = Bytes()

    def logprobs(self, tokens: Sequence[int]) -> Any:
        row = np.full(256, np.log(0.5 / 255), dtype=np.float32)
        row[(tokens[-1] + 1) % 256] = np.log(0.5)
        return row

    def close(self) -> None:
        self.closed += 1


class EngineWithRows(Engine):
    def row(self, tokens: Sequence[int]) -> Any:
        return self.logprobs(tokens)


class Base(TokenizerLM[Engine]):
    @classmethod
    def load_engine(cls, options: BackendOptions) -> Engine:
        return EngineWithRows()

    def describe_impl(self) -> BackendInfo:
        return BackendInfo(name="bytes", vocabulary_size=256)


class Trees(Base):
    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        collector = NumpyScoreCollector(queries)
        nodes = [node for node, needed in enumerate(collector.forest.needs_row) if needed]
        rows = [self.engine.logprobs(collector.forest.sequence(node)) for node in nodes]
        collector.add(nodes, np.stack(rows))
        collector.forest.count_evaluated(range(len(collector.forest)))
        return collector.scores()


def test_rows_of_the_engine_and_rows_from_trees_are_equal() -> None:
    rows, trees = Model(Base(engine=EngineWithRows())), Model(Trees(engine=Engine()))
    np.testing.assert_allclose(trees.greedy("ab"), rows.greedy("ab"), atol=1e-6)
    choices = ["b", "bc", "x"]
    assert [score.logprob for score in trees.choose("a", choices).scores] == pytest.approx(
        [score.logprob for score in rows.choose("a", choices).scores]
    )
    assert trees.complete("a", max_tokens=3).text == "bcd"


def test_a_wrong_answer_for_trees_is_named_where_a_row_is_asked_for() -> None:
    class NoAnswer(Trees):
        def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> Any:
            super().greedy_tree_impl(queries)

    class Narrow(Trees):
        def describe_impl(self) -> BackendInfo:
            return BackendInfo(name="bytes", vocabulary_size=99)

    for backend, message in [
        (NoAnswer, "greedy_tree_impl of NoAnswer: .* got None"),
        (Narrow, "greedy_tree_impl of Narrow: .*99 is outside the vocabulary 0..98"),
    ]:
        with pytest.raises(ContractError, match=message):
            Model(backend(engine=Engine())).greedy([97, 98])


def test_create_loads_an_engine_of_the_validated_options() -> None:
    created = Base.create()
    assert Base(**created).choose("a", ["b", "x"]).choice == "b"
    with pytest.raises(autocog_core.ConfigError, match="mode"):
        Base.create(mode=3)


def test_backends_on_one_engine_share_its_lock_and_the_last_one_closes_it() -> None:
    engine = EngineWithRows()
    first, second = Base(engine=engine), Base(engine=engine)
    assert first.lock is second.lock
    first.close()
    first.close()
    with pytest.raises(ClosedError):
        first.choose("a", ["b", "c"])
    assert second.choose("a", ["b", "x"]).choice == "b"
    assert engine.closed == 0
    second.close()
    assert engine.closed == 1
    third = Base(engine=engine)
    third.close()
    assert engine.closed == 2


def test_an_engine_without_what_is_needed_is_refused_when_it_is_wrapped() -> None:
    with pytest.raises(PluginBrokenError, match="Engine has no method row"):
        Base(engine=Engine())
    with pytest.raises(PluginBrokenError, match="has no attribute tokenizer"):
        Base(engine=SimpleNamespace())  # type: ignore[arg-type]

    class OwnRow(Base):
        def greedy_impl(self, tokens: Sequence[int]) -> Any:
            return uniform(256)

    assert OwnRow(engine=Engine()).choose("a", ["b", "c"]).scores


def test_messages_without_a_template_are_refused() -> None:
    with pytest.raises(CapabilityError, match="no chat template"):
        Base(engine=EngineWithRows()).complete(messages=[{"role": "user", "content": "a"}])


def test_the_toolkit_has_it_too() -> None:
    assert toolkit.TokenizerLM is TokenizerLM
    assert "TokenizerLM" in dir(toolkit)
