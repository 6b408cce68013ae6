"""Running out of memory: free what was kept, take smaller steps, try again, then say so."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from typing import TypeVar

import torch

from autocog_core import OutOfMemoryError
from autocog_tf.evaluators.evaluator import Evaluator

Answer = TypeVar("Answer")
log = logging.getLogger(__name__)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the engine ran out of memory; on a CPU torch says so in a plain RuntimeError."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)


def retry_with_smaller_batches(attempt: Callable[[], Answer], evaluator: Evaluator) -> Answer:
    """The result of `attempt`, made again with freed caches and smaller steps when memory is out.

    :raises OutOfMemoryError: when steps cannot be smaller.
    """
    while True:
        try:
            return attempt()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            # The traceback's frames hold what filled the memory.
            cause = error.with_traceback(None)
        free_memory(evaluator)
        if not evaluator.halve_batch():
            # The next request may well fit.
            evaluator.reset_batch()
            raise out_of_memory_error() from cause
        log.warning("out of memory: caches freed, going on in smaller steps")


def out_of_memory_error() -> OutOfMemoryError:
    """The error for a request that does not fit, however small the steps."""
    return OutOfMemoryError(
        "the model does not fit the memory together with this request, even in the smallest steps",
        hint="shorten the prompt, or use a smaller dtype or prefix_cache_bytes",
    )


def free_memory(evaluator: Evaluator) -> None:
    """Drop what was kept between calls and give it back to the device."""
    evaluator.clear()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
