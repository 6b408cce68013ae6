"""Forked processes: PyTorch waits there for ever for threads that a fork does not copy.

OpenMP keeps the worker threads of each thread that computes. In a fork of it, only that thread
still exists, but OpenMP waits for its workers. So a fork may only compute on one thread.
"""

from __future__ import annotations

import os
import sys

from autocog_core import ModelLoadError

#: Whether this process is a fork of one that had loaded PyTorch.
_had_torch = False


def require_own_threads() -> None:
    """Check that PyTorch can compute in this process.

    :raises ModelLoadError: in a fork of a process that had loaded PyTorch, unless it is set to one
        thread.
    """
    if not _had_torch:
        return
    import torch

    if torch.get_num_threads() > 1:
        raise ModelLoadError(
            "PyTorch was loaded before this process was forked, and would wait for threads that "
            "a fork does not have",
            hint="start processes by spawn, or first call torch.set_num_threads(1) here",
        )


def _note_fork() -> None:
    global _had_torch
    _had_torch = "torch" in sys.modules


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)
