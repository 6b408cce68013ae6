"""One llama.cpp context: batches in, logits out, sequences copied and removed.

llama.cpp answers a wrong batch with an assertion that ends the process, so that what goes in is
right by construction: `TreeEvaluator` and `StateEvaluator` keep these rules.

- at most `batch` tokens and `rows` wanted rows in one call, sequence ids below `sequences`;
- the positions of a sequence are consecutive, and continue what the context holds of it;
- tokens of several sequences come before those of only some of them.
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
    """The cells hold too much for a batch; nothing was evaluated."""


class Context:
    """A llama.cpp context of a loaded model.

    :param pointer: the context; freed with this object.
    :param model: what it belongs to; kept alive.
    :ivar cells: how many tokens all sequences together may have in memory.
    :ivar sequences: how many sequences there may be. `batch`: most tokens in one call.
    :ivar rows: most rows of logits in one call. `width`: V, their width.
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
        """Where the context is, as a number."""
        found = ctypes.cast(self.pointer, ctypes.c_void_p).value
        assert found is not None
        return found

    def decode(
        self,
        tokens: Int32Array,
        positions: Int32Array,
        sequences: Int32Array,
        first: Int32Array,
        last: Int32Array,
        wanted: NDArray[np.bool_],
    ) -> NDArray[np.float32]:
        """Evaluate n tokens; the logits (r, V) after the wanted ones, valid until the next call.

        :param sequences: int32, sequence ids; token i is part of `sequences[first[i]:last[i]]`.
        :raises NoSlotError: if the cells are full.
        :raises EngineError: if llama.cpp fails; the context may then hold parts of the batch.
        """
        flags = wanted.astype(np.int8)
        counts = (last - first).astype(np.int32)
        sequences = np.ascontiguousarray(sequences, dtype=np.int32)
        pointers = (sequences.ctypes.data + first.astype(np.int64) * 4).astype(np.uintp)
        batch = llama_cpp.llama_batch(
            n_tokens=len(tokens),
            token=_as(tokens, llama_cpp.llama_token),
            embd=None,
            pos=_as(positions, llama_cpp.llama_pos),
            n_seq_id=_as(counts, ctypes.c_int32),
            seq_id=_as(pointers, ctypes.POINTER(llama_cpp.llama_seq_id)),
            logits=_as(flags, ctypes.c_int8),
        )
        # What the batch points at lives as long as the call, also if its caller is interrupted.
        arrays = (tokens, positions, sequences, pointers, counts, flags)
        code, logits, reason = self.interruptible.run(partial(_decode, self.pointer, batch, arrays))
        if code != 0:
            raise failure(code, reason)
        count = int(flags.sum())
        if count == 0:
            return np.zeros((0, self.width), dtype=np.float32)
        return np.ctypeslib.as_array(logits, shape=(count, self.width))

    def fitting(self, wanted: NDArray[np.bool_]) -> int:
        """How many of these tokens may go into one call, with at most `rows` wanted ones."""
        places = np.flatnonzero(wanted[: self.batch])
        if len(places) > self.rows:
            return int(places[self.rows])
        return min(len(wanted), self.batch)

    def copy(self, source: int, target: int, length: int) -> None:
        """Let `target`, which is empty, share the first `length` tokens of `source`; -1: all."""
        self.interruptible.settle()
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, 0, length)

    def cut(self, sequence: int, length: int) -> None:
        """Leave only the first `length` tokens of a sequence."""
        self.interruptible.settle()
        llama_cpp.llama_memory_seq_rm(self._memory, sequence, length, -1)

    def remove(self, sequence: int) -> None:
        """Forget a sequence; cells that no other shares are free again."""
        self.interruptible.settle()
        llama_cpp.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def is_whole(self, sequence: int) -> bool:
        """Whether all tokens of a sequence are there: a sliding window may have dropped some."""
        return int(llama_cpp.llama_memory_seq_pos_min(self._memory, sequence)) <= 0

    def clear(self) -> None:
        """Forget everything."""
        self.interruptible.settle()
        llama_cpp.llama_memory_clear(self._memory, True)


def _decode(pointer: Any, batch: Any, arrays: Any) -> tuple[int, Any, str]:
    """Evaluate a batch: llama.cpp's code, where the logits are once computed, and what is wrong."""
    with logs.Errors() as errors:
        code = int(llama_cpp.llama_decode(pointer, batch))
        logits = llama_cpp.llama_get_logits(pointer) if code == 0 else None
    return code, logits, errors.reason


def _as(array: NDArray[Any], kind: Any) -> Any:
    return ctypes.cast(array.ctypes.data, ctypes.POINTER(kind))


def no_room() -> EngineError:
    """The error for a request that the cells do not hold."""
    return EngineError("llama.cpp has no room for this request", hint="give a larger n_ctx")


def failure(code: int, reason: str) -> Exception:
    """What llama.cpp's answer to a batch means.

    :param reason: what it has logged.
    """
    if code == _NO_SLOT:
        return NoSlotError()
    because = f": {reason}" if reason else ""
    if code == _NO_MEMORY:
        return OutOfMemoryError(
            "llama.cpp ran out of memory" + because,
            hint="give a smaller n_ctx, n_ubatch or n_seq_max",
        )
    if code == _ABORTED:
        return EngineError("llama.cpp was interrupted")
    return EngineError(f"llama.cpp could not evaluate a batch (code {code})" + because)


def _free(pointer: Any, model: Any, interruptible: Interruptible) -> None:
    # In a fork they are not ours to free, and the thread is not there.
    if not interruptible.own:
        return
    interruptible.close()
    llama_cpp.llama_free(pointer)
