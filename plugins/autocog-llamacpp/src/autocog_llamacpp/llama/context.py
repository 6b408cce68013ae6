"""A llama.cpp context: decodes batches, copies and removes sequences.

llama.cpp aborts the process on an invalid batch. `AttentionSession` and `RecurrentSession`
therefore keep these rules:

- at most `batch` tokens and `rows` rows of logits in one call, sequence ids below `sequences`;
- the positions of a sequence are consecutive, and continue its tokens in the context;
- tokens of several sequences come before tokens of fewer.
"""

from __future__ import annotations

import ctypes
import weakref
from functools import partial
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from autocog_core import EngineError, OutOfMemoryError
from autocog_llamacpp.llama import logs
from autocog_llamacpp.llama.interrupt import Interruptible

Int32Array = NDArray[np.int32]

_NO_SLOT, _ABORTED, _NO_MEMORY = 1, 2, -2


class NoSlotError(Exception):
    """The cells have no room for the batch; nothing was evaluated."""


class Context:
    """A llama.cpp context of a loaded model.

    :param pointer: the context; freed with this object.
    :param model: the model of the context; kept alive.
    :param interruptible: runs the calls of llama.cpp.
    :param width: V, the size of the vocabulary.
    :param rows: maximum number of rows of logits in one call.
    :ivar cells: number of tokens of all sequences together that fit into memory.
    :ivar sequences: maximum number of sequences.
    :ivar batch: maximum number of tokens in one call.
    """

    def __init__(
        self, pointer: Any, model: Any, interruptible: Interruptible, width: int, rows: int
    ) -> None:
        self.pointer = pointer
        self.model = model
        self.interruptible = interruptible
        self.width = width
        self.rows = rows
        self.cells = int(llama_cpp.llama_n_ctx(pointer))
        self.batch = int(llama_cpp.llama_n_batch(pointer))
        self.sequences = int(llama_cpp.llama_n_seq_max(pointer))
        self._memory = llama_cpp.llama_get_memory(pointer)
        weakref.finalize(self, _free, pointer, model, interruptible)

    @property
    def address(self) -> int:
        """The address of the context."""
        address = ctypes.cast(self.pointer, ctypes.c_void_p).value
        assert address is not None
        return address

    def decode(
        self,
        tokens: Int32Array,
        positions: Int32Array,
        sequences: Int32Array,
        first: Int32Array,
        last: Int32Array,
        needs_logits: NDArray[np.bool_],
    ) -> NDArray[np.float32]:
        """Evaluate n tokens.

        :param sequences: int32, sequence ids; token i belongs to `sequences[first[i]:last[i]]`.
        :param needs_logits: bool (n,), the tokens whose logits are needed.
        :returns: float32 (r, V), the logits after these tokens, valid until the next call.
        :raises NoSlotError: if the cells are full.
        :raises EngineError: if llama.cpp fails; the context may then contain parts of the batch.
        """
        flags = needs_logits.astype(np.int8)
        counts = (last - first).astype(np.int32)
        sequences = np.ascontiguousarray(sequences, dtype=np.int32)
        pointers = (sequences.ctypes.data + first.astype(np.int64) * 4).astype(np.uintp)
        batch = llama_cpp.llama_batch(
            n_tokens=len(tokens),
            token=_pointer(tokens, llama_cpp.llama_token),
            embd=None,
            pos=_pointer(positions, llama_cpp.llama_pos),
            n_seq_id=_pointer(counts, ctypes.c_int32),
            seq_id=_pointer(pointers, ctypes.POINTER(llama_cpp.llama_seq_id)),
            logits=_pointer(flags, ctypes.c_int8),
        )
        # Keeps the arrays of the batch alive during the call, even if the caller is interrupted.
        arrays = (tokens, positions, sequences, pointers, counts, flags)
        code, logits, reason = self.interruptible.run(partial(_decode, self.pointer, batch, arrays))
        if code != 0:
            raise decode_error(code, reason)
        count = int(flags.sum())
        if count == 0:
            return np.zeros((0, self.width), dtype=np.float32)
        return np.ctypeslib.as_array(logits, shape=(count, self.width))

    def next_batch_size(self, needs_logits: NDArray[np.bool_]) -> int:
        """Return how many of these tokens fit into one call.

        :param needs_logits: bool (n,), the tokens whose logits are needed: at most `rows` fit.
        """
        indices = np.flatnonzero(needs_logits[: self.batch])
        if len(indices) > self.rows:
            return int(indices[self.rows])
        return min(len(needs_logits), self.batch)

    def copy(self, source: int, target: int, length: int) -> None:
        """Let the empty `target` share the first `length` tokens of `source` (-1: all)."""
        self.interruptible.stop_running_call()
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, 0, length)

    def truncate(self, sequence: int, length: int) -> None:
        """Keep only the first `length` tokens of a sequence."""
        self.interruptible.stop_running_call()
        llama_cpp.llama_memory_seq_rm(self._memory, sequence, length, -1)

    def remove(self, sequence: int) -> None:
        """Remove a sequence, and free the cells that no other sequence shares."""
        self.interruptible.stop_running_call()
        llama_cpp.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def is_whole(self, sequence: int) -> bool:
        """Return whether all tokens are in memory: a sliding window may have removed some."""
        return int(llama_cpp.llama_memory_seq_pos_min(self._memory, sequence)) <= 0

    def clear(self) -> None:
        """Remove all sequences."""
        self.interruptible.stop_running_call()
        llama_cpp.llama_memory_clear(self._memory, True)


def _decode(pointer: Any, batch: Any, arrays: Any) -> tuple[int, Any, str]:
    """Evaluate a batch. Return llama.cpp's code, the computed logits, and the logged error."""
    with logs.Errors() as errors:
        code = int(llama_cpp.llama_decode(pointer, batch))
        logits = llama_cpp.llama_get_logits(pointer) if code == 0 else None
    return code, logits, errors.reason


def _pointer(array: NDArray[Any], kind: Any) -> Any:
    return ctypes.cast(array.ctypes.data, ctypes.POINTER(kind))


def full_context_error() -> EngineError:
    """Return the error for a request that does not fit into the cells."""
    return EngineError("llama.cpp has no room for this request", hint="give a larger n_ctx")


def decode_error(code: int, reason: str) -> Exception:
    """Return the error for a code of `llama_decode`.

    :param code: the code, not 0.
    :param reason: the error that llama.cpp logged.
    """
    if code == _NO_SLOT:
        return NoSlotError()
    suffix = f": {reason}" if reason else ""
    if code == _NO_MEMORY:
        return OutOfMemoryError(
            "llama.cpp ran out of memory" + suffix,
            hint="give a smaller n_ctx, n_ubatch or n_seq_max",
        )
    if code == _ABORTED:
        return EngineError("llama.cpp was interrupted")
    return EngineError(f"llama.cpp could not evaluate a batch (code {code})" + suffix)


def _free(pointer: Any, model: Any, interruptible: Interruptible) -> None:
    # A forked process must not free it, and lacks the thread.
    if not interruptible.is_owner_process:
        return
    interruptible.close()
    llama_cpp.llama_free(pointer)
