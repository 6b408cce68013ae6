"""A model whose calls wait until a test opens a gate, and that counts them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from autocog_core import Model
from tests.support.small_backends import Plain


class Gate:
    """A gate before the engine of a model.

    :ivar calls: how many times the engine was called.
    :ivar entered: set while a call waits at the gate.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.entered = threading.Event()
        self._open = threading.Event()

    def open(self) -> None:
        """Let all calls pass from now on."""
        self._open.set()

    def model(self) -> Model:
        """Return a model behind the gate."""
        return Model(Plain(self._answer))

    def _answer(self, tokens: Sequence[int]) -> Any:
        self.calls += 1
        self.entered.set()
        assert self._open.wait(30), "the gate was never opened"
        return np.full(Plain.size, -np.log(Plain.size), dtype=np.float32)
