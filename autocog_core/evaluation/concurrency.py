"""How many rows of a data set run at the same time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from autocog_core.errors import InputError
from autocog_core.types.backend_info import BackendInfo

#: A number of rows; "auto" takes as many as the models like.
Concurrency = int | Literal["auto"]


def rows_at_once(concurrency: Concurrency, models: Iterable[BackendInfo]) -> int:
    """Return how many rows run at the same time.

    :param concurrency: a number, or "auto". For a model that takes several calls at once, "auto" is
        their number (`max_concurrency`). For one that takes one call at a time, it is the number of
        tree nodes that it evaluates in little more time than a single one (`nodes_per_step`),
        because each row needs at least one node in a step. Of several models, the smallest counts.
    :param models: descriptions of the models.
    :raises InputError: for anything else.
    """
    if concurrency == "auto":
        return min(
            info.max_concurrency if info.max_concurrency > 1 else info.nodes_per_step
            for info in models
        )
    if not isinstance(concurrency, int) or concurrency < 1:
        raise InputError(
            f'expected a whole number >= 1 or "auto", got {concurrency!r}', where="concurrency"
        )
    return concurrency
