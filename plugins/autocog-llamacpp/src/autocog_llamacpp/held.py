"""What both evaluators say of sequences that a completion holds, and of memory that is full."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Sequence, Sized

import numpy as np
from numpy.typing import NDArray

from autocog_core import EngineError

Rows = NDArray[np.float32]
#: Takes some of the forest's wanted nodes and the logits (r, V) after them.
Sink = Callable[[Sequence[int], Rows], None]


class Holding(ABC):
    """Knows whether an evaluator's account of llama.cpp's memory is true, whatever interrupted it.

    :ivar lent: whether a completion is running, which holds sequences from one call to the next.
        Set by `open`; whoever opened sets it back in the first statement of its `finally`, because
        an interrupt may keep `release` from being called.
    """

    def __init__(self) -> None:
        self.lent = False
        #: Whether no call was left in the middle.
        self._sure = True

    @abstractmethod
    def forget(self) -> None:
        """Drop everything that was kept from earlier calls."""

    def _settle(self, held: Sized) -> None:
        """Whoever begins and does not come to his end leaves behind what nobody knows."""
        if not self._sure or (held and not self.lent):
            self.forget()


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
