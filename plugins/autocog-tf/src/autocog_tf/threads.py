"""The number of threads of PyTorch, which all models of a process share."""

from __future__ import annotations

import os

import torch

from autocog_core.toolkit import limit_threads

_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def set_thread_count(count: int, *, is_new: bool) -> None:
    """Set the number of threads, unless the user has: PyTorch does not know what containers allow.

    :param count: the number; 0 for PyTorch's own, within the limit of a container.
    :param is_new: whether nobody can have called `torch.set_num_threads` before.
    """
    current = torch.get_num_threads()
    if not count:
        is_users = not is_new or any(os.environ.get(name) for name in _VARIABLES)
        count = current if is_users else limit_threads(current)
    if count != current:
        torch.set_num_threads(count)
