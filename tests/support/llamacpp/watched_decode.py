"""llama.cpp's `llama_decode` under watch, for either session: batches, and failures on purpose."""

from __future__ import annotations

import ctypes
from typing import Any

import llama_cpp

FAILURE = -3


class WatchedDecode:
    """Stands before the real function, for models that are loaded while it does.

    :ivar sizes: tokens in each batch. `fail_at`: the number of the call, from 1, that fails.
    """

    def __init__(self, monkeypatch: Any) -> None:
        self.sizes: list[int] = []
        self.fail_at = 0
        self._decode = llama_cpp.llama_decode
        kind = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, llama_cpp.llama_batch)
        # Kept: C calls it.
        self._function = kind(self._call)
        monkeypatch.setattr(llama_cpp, "llama_decode", self._function)

    def _call(self, context: Any, batch: Any) -> int:
        self.sizes.append(batch.n_tokens)
        if len(self.sizes) == self.fail_at:
            return FAILURE
        return int(self._decode(context, batch))
