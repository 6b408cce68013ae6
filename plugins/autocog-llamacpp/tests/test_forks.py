"""Models in forked processes: those of the parent are refused, and own ones work."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from autocog_core import Model
from autocog_llamacpp import LLaMa
from tests.support.llamacpp.tree_calls import BOTH
from tests.support.processes import call_in_fork

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")


@BOTH
def test_a_fork_refuses_the_models_of_its_parent_and_loads_its_own(
    make_llama: Any, gguf_file: Any
) -> None:
    backend = make_llama(n_threads=2)
    model = Model(backend, name="tiny")
    expected = model.greedy([1, 2, 3])
    calls = [
        lambda: model.greedy([1, 2, 3]),
        lambda: model.complete([1, 2, 3]),
        lambda: backend.greedy([1, 2, 3]),
        lambda: Model(LLaMa(engine=backend.engine)).greedy([1, 2, 3]),
    ]
    for call in calls:
        assert "the model was loaded before this process was forked" in call_in_fork(call)

    def load() -> bool:
        options = {"n_ctx": 256, "exact": True, "n_threads": 2}
        own = LLaMa(**LLaMa.create(model_path=str(gguf_file("llama")), **options))
        return np.allclose(Model(own).greedy([1, 2, 3]), expected, atol=1e-4)

    assert call_in_fork(load) == "True"
    assert call_in_fork(model.close) == "None"
    assert np.allclose(model.greedy([1, 2, 3]), expected, atol=1e-4)
