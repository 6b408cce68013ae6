"""An engine that models share is closed with the last one, even if other threads load meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from autocog_core import Model
from autocog_core.model.shared_engines import use_engine
from tests.support.soak import count as soak_count
from tests.unit.test_tokenizer_lm import Base, EngineWithRows

SECONDS = 20


class Closable(EngineWithRows):
    """Fails once it is closed, as an engine whose memory is freed."""

    #: Called while it is being closed.
    while_closing: Callable[[], None] = staticmethod(lambda: None)

    def row(self, tokens: Any) -> Any:
        assert not self.closed, "the engine is closed"
        return super().row(tokens)

    def close(self) -> None:
        super().close()
        self.while_closing()


def open_model(
    key: str | None,
    create: Callable[[], Any] = Closable,
    before: Callable[[], None] = lambda: None,
) -> Model:
    def make_backend(created: dict[str, Any]) -> Any:
        before()
        return Base(**created)

    use = use_engine(key, lambda: {"engine": create()}, make_backend)
    return Model(use.backend, engine_lock=use.lock, on_close=use.release)


@pytest.fixture
def key(counter: Any = count()) -> str:  # noqa: B008 - one for all tests
    return f"test {next(counter)}"


def in_thread(function: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(function()), daemon=True)
    thread.start()
    return thread, results


def test_a_model_loaded_while_the_last_one_closes_gets_an_open_engine(key: str) -> None:
    first = open_model(key)
    loaded: list[Any] = []

    def load_another() -> None:
        thread, results = in_thread(lambda: open_model(key))
        thread.join(SECONDS)
        loaded.extend(results)

    first.backend.engine.while_closing = load_another
    first.close()
    (second,) = loaded
    assert second.greedy([1]).size == 256
    second.close()


def test_the_last_one_that_closes_while_another_is_made_leaves_it_the_engine(key: str) -> None:
    first = open_model(key)
    closed = threading.Event()
    closing: list[threading.Thread] = []

    def close_the_first() -> None:
        def close() -> None:
            first.close()
            closed.set()

        closing.append(in_thread(close)[0])
        # It may have to wait for this one.
        closed.wait(0.2)

    with open_model(key, before=close_the_first) as second:
        closing[0].join(SECONDS)
        assert closed.is_set()
        assert second.greedy([1]).size == 256


def test_threads_that_load_and_close_never_see_a_closed_engine(key: str) -> None:
    made: list[Closable] = []
    errors: list[BaseException] = []

    def create() -> Closable:
        made.append(Closable())
        return made[-1]

    def work() -> None:
        try:
            for _ in range(soak_count(normal=25, soak=2_000)):
                with open_model(key, create) as model:
                    model.greedy([1])
        except BaseException as error:  # noqa: BLE001 - raised in the main thread
            errors.append(error)

    threads = [in_thread(work)[0] for _ in range(8)]
    for thread in threads:
        thread.join(60)
    assert not errors
    assert [engine.closed for engine in made] == [1] * len(made)
