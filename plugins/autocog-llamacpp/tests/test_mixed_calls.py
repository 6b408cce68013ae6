"""Trees, rows and completions in any order, nested and interrupted: no wrong score."""

from __future__ import annotations

import random
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from autocog_core import EngineError, Prompt, TokenPiece
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


class Mixed:
    """Random calls on one model, each compared with the reference."""

    def __init__(self, model: Any, plain: Plain, tolerance: float, drawn: random.Random) -> None:
        self.model = model
        self.plain = plain
        self.tolerance = tolerance
        self.drawn = drawn
        self.size = model.as_model().info.vocabulary_size
        self.base = self.tokens(120)
        self.refused = 0

    def tokens(self, count: int) -> list[int]:
        return [self.drawn.randrange(self.size) for _ in range(count)]

    def beginning(self) -> list[int]:
        length = self.drawn.randrange(1, self.drawn.choice([8, 60, 120]))
        return self.base[:length] + self.tokens(self.drawn.choice([0, 0, 2]))

    def check(self, expected: Any, found: Any) -> None:
        apart = float(np.abs(np.subtract(expected, found)).max())
        assert apart <= self.tolerance, f"{apart:.3g} nats apart"

    def call(self, depth: int = 0) -> None:
        self.drawn.choice([self.tree, self.row, self.complete])(depth)

    def row(self, depth: int) -> None:
        prompt = self.beginning()
        self.check(self.plain.row(prompt), self.model.engine.row(prompt))

    def tree(self, depth: int) -> None:
        choices = [
            [self.drawn.choice(self.base[:3]) for _ in range(self.drawn.randrange(1, 5))]
            for _ in range(self.drawn.choice([1, 3, 9]))
        ]
        asked = query(self.beginning(), choices)
        answer = self.model.as_model().client.greedy_tree([asked])[0]
        self.check(self.plain.values(asked), answer.values)

    def complete(self, depth: int) -> None:
        prompt = self.beginning()
        count = self.drawn.choice([1, 1, 2, 5])
        more: dict[str, Any] = {}
        if count == 1 and depth == 0:
            more["on_text"] = lambda _: self.nested()
        done = self.model.complete(
            Prompt((TokenPiece(tuple(prompt)),)),
            max_tokens=self.drawn.choice([1, 3, 12]),
            n=count,
            temperature=1.5,
            seed=self.drawn.randrange(9),
            **more,
        )
        for one in (done, *done.alternatives):
            self.check_completion(prompt, one.tokens, one.logprobs)

    def nested(self) -> None:
        """Make a call during a completion, which it must not affect. It may be refused."""
        if self.drawn.random() < 0.5:
            try:
                self.drawn.choice([self.tree, self.row, self.complete])(1)
            except EngineError:
                self.refused += 1

    def check_completion(
        self, prompt: Sequence[int], tokens: Sequence[int], logprobs: Sequence[float]
    ) -> None:
        rows = self.plain.rows([*prompt, *tokens])[len(prompt) - 1 : -1]
        self.check(rows[np.arange(len(tokens)), list(tokens)], logprobs)


@pytest.fixture
def mixed(make_llama: Any, gguf_file: Any) -> Any:
    def make(architecture: str, seed: int, **options: Any) -> Mixed:
        model = make_llama(architecture, **options)
        plain = Plain(gguf_file(architecture))
        # Gemma's rounding errors add up further over longer texts.
        tolerance = 5 * TOLERANCE[architecture]
        return Mixed(model, plain, tolerance, random.Random(seed))

    return make


@pytest.mark.parametrize("sequences", [2, 3, 16])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_calls_in_any_order(mixed: Any, architecture: str, sequences: int) -> None:
    calls = mixed(architecture, sequences, n_ctx=256, n_batch=24, n_seq_max=sequences)
    for _ in range(25):
        calls.call()
        check_sequence_lengths(calls.model)
        assert not calls.model.engine.session.active_sequences


@pytest.mark.parametrize("architecture", ["mamba", "lfm2"])
def test_a_completion_continues_its_own_prompt(mixed: Any, architecture: str) -> None:
    """Two prompts have the same length; the other one was evaluated first."""
    calls = mixed(architecture, 0)
    calls.model.engine.row([1, 2, 3, 4])
    done = calls.model.complete(Prompt((TokenPiece((50, 51, 52, 53)),)), max_tokens=3)
    calls.check_completion([50, 51, 52, 53], done.tokens, done.logprobs)


@pytest.mark.parametrize("architecture", ["mamba", "lfm2"])
def test_long_prompts_of_recurrent_models_take_full_batches(
    make_llama: Any, architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = WatchedDecode(monkeypatch)
    model = make_llama(architecture, n_ctx=512, n_batch=128)
    model.engine.row([number % 200 for number in range(400)])
    assert max(decode.sizes) == 128
    assert len(decode.sizes) <= 5


def interrupted(drawn: random.Random, call: Callable[[], object]) -> None:
    """Interrupt a call at a random moment, as Ctrl-C does, unless it ends before."""
    armed = True

    def interrupt(*_: Any) -> None:
        if armed:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, drawn.random() * 0.006)
            call()
        finally:
            armed = False
    except KeyboardInterrupt:
        pass
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@BOTH
@pytest.mark.parametrize("architecture", ["llama", "mamba"])
def test_after_an_interrupt_before_finish_no_sequence_is_held(
    mixed: Any, architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = mixed(architecture, 5, n_seq_max=4)
    session = calls.model.engine.session
    prompt = Prompt((TokenPiece((5, 6)),))

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    for _ in range(3):
        with monkeypatch.context() as patch:
            patch.setattr(session, "finish", interrupt)
            with pytest.raises(KeyboardInterrupt):
                calls.model.complete(prompt, max_tokens=2)
        done = calls.model.complete(prompt, max_tokens=2)
        calls.check_completion([5, 6], done.tokens, done.logprobs)
        assert not session.active_sequences


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no alarms")
@BOTH
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_interrupts_at_any_moment_leave_a_usable_model(mixed: Any, architecture: str) -> None:
    calls = mixed(architecture, 5, n_ctx=512, n_seq_max=8)
    drawn = calls.drawn
    expected = {length: calls.plain.row(calls.base[:length]) for length in range(1, 100)}

    def work() -> None:
        if drawn.random() < 0.5:
            prompt = Prompt((TokenPiece(tuple(calls.beginning())),))
            calls.model.complete(prompt, max_tokens=6, n=drawn.choice([1, 4]), temperature=1.5)
        else:
            calls.model.engine.row(calls.beginning())

    for _ in range(count(40, 600)):
        interrupted(drawn, work)
        length = drawn.randrange(1, 100)
        calls.check(expected[length], calls.model.engine.row(calls.base[:length]))
        calls.model.complete(Prompt((TokenPiece((5,)),)), max_tokens=1)
