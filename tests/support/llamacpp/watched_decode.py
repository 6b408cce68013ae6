"""A wrapper of llama.cpp's `llama_decode` that records batches, and fails on demand."""

from __future__ import annotations

import ctypes
from typing import Any

import llama_cpp

FAILURE = -3


class WatchedDecode:
    """Replaces `llama_decode` for models that are loaded afterwards.

    :ivar sizes: number of tokens of each batch.
    :ivar fail_at: number of the call that fails, from 1; 0 for none.
    """

    def __init__(self, monkeypatch: Any) -> None:
        self.sizes: list[int] = []
        self.fail_at = 0
        self._decode = llama_cpp.llama_decode
        kind = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, llama_cpp.llama_batch)
        # Must live: C calls it.
        self._function = kind(self._call)
        monkeypatch.setattr(llama_cpp, "llama_decode", self._function)

    def _call(self, context: Any, batch: Any) -> int:
        self.sizes.append(batch.n_tokens)
        if len(self.sizes) == self.fail_at:
            return FAILURE
        return int(self._decode(context, batch))
