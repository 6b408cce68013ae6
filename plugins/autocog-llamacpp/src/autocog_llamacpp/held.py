"""What both evaluators say of sequences that a completion holds, and of memory that is full."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

import numpy as np
from numpy.typing import NDArray

from autocog_core import EngineError

Rows = NDArray[np.float32]
#: Takes some of the forest's wanted nodes and the logits (r, V) after them.
Sink = Callable[[Sequence[int], Rows], None]


def check_held(handles: Sequence[int], held: Container[int]) -> None:
    """Refuse to continue sequences that are gone.

    :raises EngineError: if another call on the model has dropped them.
    """
    if not all(handle in held for handle in handles):
        raise EngineError(
            "another call on the model has ended this completion",
            hint="make no calls in on_text that fail, or ask for more than the memory holds",
        )


def no_room() -> EngineError:
    """The error for a request that llama.cpp's cells do not hold."""
    return EngineError("llama.cpp has no room for this request", hint="give a larger n_ctx")
