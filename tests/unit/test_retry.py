from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autocog_core import EngineError, Model, RetryPolicy, hookimpl
from autocog_core.types.completion import Completion, CompletionRequest
from tests.support.small_backends import Plain, uniform


class Failing:
    """Fails `times` times, with a new error each time."""

    def __init__(self, times: int, make: Any) -> None:
        self.times, self.make, self.calls = times, make, 0

    def __call__(self, *_: Any) -> Any:
        self.calls += 1
        if self.calls <= self.times:
            raise self.make()
        return "done"


def busy() -> EngineError:
    return EngineError("busy", retryable=True)


def test_retryable_errors_are_retried_with_pauses_delta_times_growth_to_the_k() -> None:
    pauses: list[float] = []
    failing = Failing(3, busy)
    policy = RetryPolicy(retries=3, delta=0.5, growth=3.0)
    assert policy.run(failing, sleep=pauses.append) == "done"
    assert pauses == [0.5, 1.5, 4.5]


@pytest.mark.parametrize(
    "make", [lambda: EngineError("no"), lambda: TypeError("no"), lambda: ValueError("no")]
)
def test_other_errors_are_not_retried(make: Any) -> None:
    failing = Failing(1, make)
    with pytest.raises((EngineError, TypeError, ValueError), match="no"):
        RetryPolicy(retries=5).run(failing, sleep=pytest.fail)
    assert failing.calls == 1


def test_the_last_error_has_the_number_of_attempts() -> None:
    failing = Failing(9, busy)
    with pytest.raises(EngineError) as caught:
        RetryPolicy(retries=2).run(failing, sleep=lambda _: None)
    assert failing.calls == 3
    assert caught.value.attempts == 3


def test_nested_retries_do_not_multiply() -> None:
    failing = Failing(99, busy)
    policy = RetryPolicy(retries=3)

    def no_sleep(_: float) -> None:
        pass

    with pytest.raises(EngineError):
        policy.run(lambda: policy.run(failing, sleep=no_sleep), sleep=no_sleep)
    assert failing.calls == 4


def test_a_choice_through_core_defaults_calls_the_engine_retries_plus_one_times() -> None:
    failing = Failing(99, busy)
    model = Model(Plain(failing), retry=RetryPolicy(retries=2, delta=0))
    with pytest.raises(EngineError):
        model.choose("x", ["a", "b"])
    assert failing.calls == 3


def test_an_engine_that_retries_itself_is_called_once() -> None:
    from dataclasses import replace

    class Own(Plain):
        @hookimpl
        def describe(self) -> Any:
            return replace(super().describe(), retries_itself=True)

    failing = Failing(99, busy)
    with pytest.raises(EngineError):
        Model(Own(failing), retry=RetryPolicy(retries=2, delta=0)).greedy("x")
    assert failing.calls == 1


def test_a_success_after_retries_is_returned() -> None:
    rows = iter([busy(), busy(), uniform(256)])

    def answer(_: Any) -> Any:
        row = next(rows)
        if isinstance(row, Exception):
            raise row
        return row

    row = Model(Plain(answer), retry=RetryPolicy(retries=2, delta=0)).greedy("x")
    np.testing.assert_array_equal(row, uniform(256))


@pytest.mark.parametrize(("pieces", "calls"), [(0, 3), (1, 1)])
def test_nothing_is_retried_after_streamed_text(pieces: int, calls: int) -> None:
    class Streaming(Plain):
        made = 0

        @hookimpl
        def complete(self, request: CompletionRequest) -> Completion:
            self.made += 1
            for _ in range(pieces):
                assert request.on_text is not None
                request.on_text("piece")
            raise busy()

    backend = Streaming()
    heard: list[str] = []
    with pytest.raises(EngineError, match="busy"):
        Model(backend, retry=RetryPolicy(retries=2, delta=0)).complete("x", on_text=heard.append)
    assert backend.made == calls
    assert heard == ["piece"] * pieces
