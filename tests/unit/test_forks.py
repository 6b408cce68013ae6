"""Models in forked processes: a clear error for those of the parent, no wait for locks."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from autocog_core import Model, load
from autocog_core.backends.random import RandomLM
from tests.support.processes import call_in_fork
from tests.support.small_backends import Plain, uniform

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")

FORKED = "EngineError: RandomLM: the model was loaded before this process was forked; "


def test_a_fork_cannot_use_the_model_of_its_parent_which_still_works() -> None:
    model = Model(RandomLM())
    expected = model.choose("x", ["a", "b"])
    for call in (
        lambda: model.choose("x", ["a", "b"]),
        lambda: model.complete("x"),
        lambda: list(model.stream("x")),
        lambda: model.greedy("x"),
        lambda: model.tokenize("x"),
    ):
        assert call_in_fork(call).startswith(FORKED)
    assert model.choose("x", ["a", "b"]) == expected


def test_a_model_over_an_engine_of_the_parent_is_refused_too() -> None:
    backend = RandomLM()
    Model(backend)
    assert call_in_fork(lambda: Model(backend).greedy("x")).startswith(FORKED)


def test_a_fork_can_load_and_close_models_of_its_own() -> None:
    inherited = Model(RandomLM())

    def use() -> str:
        inherited.close()
        with load(backend="random") as model:
            return model.choose("x", ["a", "b"]).choice

    with load(backend="random") as model:
        assert call_in_fork(use) == model.choose("x", ["a", "b"]).choice
    assert inherited.greedy("x").size


def test_a_call_at_the_moment_of_the_fork_blocks_nothing_in_the_child() -> None:
    inside, go_on = threading.Event(), threading.Event()

    def answer(tokens: Any) -> Any:
        inside.set()
        go_on.wait(30)
        return uniform(256)

    model = Model(Plain(answer), name="busy")
    thread = threading.Thread(target=model.greedy, args=("x",))
    thread.start()
    assert inside.wait(5)
    try:
        assert "before this process was forked" in call_in_fork(lambda: model.greedy("x"))
        assert call_in_fork(model.close) == "None"
        # Its description was never read, and another thread may read it just now.
        assert "forked" in call_in_fork(lambda: Model(model.backend).info)
    finally:
        go_on.set()
        thread.join()


def test_a_shared_engine_of_the_parent_is_not_used_in_a_fork(tmp_path: Path) -> None:
    path = tmp_path / "autocog.toml"
    path.write_text('[models.m]\nbackend = "random"\nengine = "one"\n', encoding="utf-8")

    def use() -> str:
        with load("m", config=path) as own:
            return own.choose("x", ["a", "b"]).choice

    with load("m", config=path) as model:
        assert call_in_fork(use) == model.choose("x", ["a", "b"]).choice
