"""A counter of llama.cpp's decodes, for the plugin's extension as well as for Python."""

from __future__ import annotations

import ctypes
from typing import Any

# The plugin sets how threads wait, before its engine is loaded.
import autocog_llamacpp  # noqa: F401  # isort: skip
import llama_cpp


class DecodeCounter:
    """Counts the decodes of all models that are loaded after it was made, and their tokens.

    :ivar calls: the number of decodes.
    :ivar tokens: the number of their tokens.
    """

    def __init__(self) -> None:
        self.calls = self.tokens = 0
        decode = llama_cpp.llama_decode

        # A C function, because the extension takes its address when a model is loaded.
        @ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, llama_cpp.llama_batch)
        def count(context: Any, batch: Any) -> int:
            self.calls += 1
            self.tokens += batch.n_tokens
            return int(decode(context, batch))

        llama_cpp.llama_decode = count
