"""Token trees for a tiny model, and a check of what the session believes of llama.cpp's memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from autocog_core import TreeQuery
from autocog_core.types.token_tree import TokenTree

#: Gemma's norms now and then amplify a rounding error a hundredfold, in the twin itself as well.
TOLERANCE = {"llama": 1e-4, "gemma3": 1e-3, "mamba": 1e-4, "lfm2": 1e-4}
ARCHITECTURES = tuple(TOLERANCE)


#: By the evaluator in C++ and by that in Python, which elsewhere `nox -s soak` alone runs.
BOTH = pytest.mark.parametrize("native", [True, False], ids=["native", "python"], indirect=True)


def query(prefix: Sequence[int], choices: Sequence[Sequence[int]], **more: Any) -> TreeQuery:
    tree = TokenTree.build(choices)
    return TreeQuery(list(prefix), tree.tokens, tree.parents, **more)


def check_account(model: Any) -> None:
    """Every sequence that is said to be in memory has its length there, and no other is."""
    import llama_cpp

    engine = model.engine
    memory = llama_cpp.llama_get_memory(engine.context.pointer)
    believed = engine.session.sequence_lengths()
    for sequence in range(engine.context.sequences):
        there = int(llama_cpp.llama_memory_seq_pos_max(memory, sequence)) + 1
        said = believed[sequence]
        assert there == said, f"sequence {sequence} has {there} tokens, not {said}"
