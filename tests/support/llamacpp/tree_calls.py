"""Token trees for a tiny model, and a check of the session's bookkeeping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from autocog_core import TreeQuery
from autocog_core.types.token_tree import TokenTree

#: Gemma's norms sometimes amplify rounding errors a hundredfold, also in the reference.
TOLERANCE = {"llama": 1e-4, "gemma3": 1e-3, "mamba": 1e-4, "lfm2": 1e-4}
ARCHITECTURES = tuple(TOLERANCE)

#: Runs a test with both implementations. Other tests run in Python only in `nox -s soak`.
BOTH = pytest.mark.parametrize("native", [True, False], ids=["native", "python"], indirect=True)


def query(prefix: Sequence[int], choices: Sequence[Sequence[int]], **options: Any) -> TreeQuery:
    """Return the query for the token tree of choices after a prefix."""
    tree = TokenTree.build(choices)
    return TreeQuery(prefix=list(prefix), tokens=tree.tokens, parents=tree.parents, **options)


def check_sequence_lengths(model: Any) -> None:
    """Check that the session knows the length of each sequence in llama.cpp's memory."""
    import llama_cpp

    engine = model.engine
    memory = llama_cpp.llama_get_memory(engine.context.pointer)
    expected = engine.session.sequence_lengths()
    for sequence in range(engine.context.sequences):
        length = int(llama_cpp.llama_memory_seq_pos_max(memory, sequence)) + 1
        assert length == expected[sequence], (
            f"sequence {sequence} has {length} tokens, not {expected[sequence]}"
        )
