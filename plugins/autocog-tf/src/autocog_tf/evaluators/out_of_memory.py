"""Out of memory: drop the caches, halve the forwards and try again."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from typing import TypeVar

import torch

from autocog_core import OutOfMemoryError
from autocog_tf.evaluators.evaluator import Evaluator

Result = TypeVar("Result")
log = logging.getLogger(__name__)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the error means that memory is full; on a CPU torch raises RuntimeError."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)


def retry_with_smaller_batches(attempt: Callable[[], Result], evaluator: Evaluator) -> Result:
    """Return the result of `attempt`; while memory is full, try again with smaller forwards.

    :param attempt: computes the result from the start.
    :param evaluator: the evaluator that `attempt` uses.
    :raises OutOfMemoryError: if the smallest forwards do not fit.
    """
    while True:
        try:
            return attempt()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            # The frames of the traceback hold the tensors that filled the memory.
            cause = error.with_traceback(None)
        free_memory(evaluator)
        if not evaluator.halve_batch():
            # The next request may be smaller.
            evaluator.reset_batch()
            raise out_of_memory_error() from cause
        log.warning("out of memory: dropped the caches; trying again with smaller batches")


def out_of_memory_error() -> OutOfMemoryError:
    """Return the error for a request that does not fit, even in the smallest batches."""
    return OutOfMemoryError(
        "this request does not fit in memory, even in the smallest batches",
        hint="shorten the prompt, or use a smaller dtype or prefix_cache_bytes",
    )


def free_memory(evaluator: Evaluator) -> None:
    """Drop the caches, and return their memory to the device."""
    evaluator.clear()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
