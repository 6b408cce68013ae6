"""Models in forked processes: an error where PyTorch would wait for ever."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from autocog_core import Model
from autocog_tf import TfLM
from tests.support.processes import call_in_fork
from tests.support.tf.tiny_models import tiny_engine

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Let torch compute on two threads, as it does by default: one of them is in no fork."""
    torch.set_num_threads(2)
    torch.exp(torch.randn(1_000_000)).sum()
    yield
    torch.set_num_threads(1)


def choose(model: Model) -> Any:
    # Rounded: the order of sums depends on the number of threads and on the cache.
    return [round(score.logprob, 3) for score in model.choose("A text", [" a", " b"]).scores]


def test_in_a_fork_a_used_model_is_refused_and_does_not_hang(two_threads: None) -> None:
    model = Model(TfLM(engine=tiny_engine()), name="tiny")
    expected = choose(model)
    for call in (lambda: choose(model), lambda: model.complete("A"), lambda: model.greedy("A")):
        assert call_in_fork(call).startswith("EngineError: tiny: the model was loaded before")
    assert choose(model) == expected


def test_in_a_fork_loading_names_the_threads_and_works_on_one(two_threads: None) -> None:
    model = Model(TfLM(engine=tiny_engine()))
    expected = choose(model)

    def load() -> Any:
        return choose(Model(TfLM(engine=tiny_engine())))

    def load_on_one_thread() -> Any:
        torch.set_num_threads(1)
        return load()

    assert "PyTorch was loaded before this process was forked" in call_in_fork(load)
    assert call_in_fork(load_on_one_thread) == str(expected)


def test_an_option_of_a_model_path_is_refused_before_it_is_read(two_threads: None) -> None:
    found = call_in_fork(lambda: TfLM.create(model_path="hub/name"))
    assert found.startswith("ModelLoadError: PyTorch was loaded before")
