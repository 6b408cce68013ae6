"""Results for large arguments, found without comparing or hashing their content each time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


def cached_by_identity(
    *, maxsize: int
) -> Callable[[Callable[[Key], Value]], Callable[[Key], Value]]:
    """Cache a function of one immutable argument by the argument's identity, then by its content.

    Ten thousand tuples take milliseconds to hash. An object that was an argument before takes none.

    :param maxsize: number of results to keep.
    """

    def decorate(function: Callable[[Key], Value]) -> Callable[[Key], Value]:
        by_content = lru_cache(maxsize=maxsize)(function)
        # The cache holds each argument, so no other object gets its id.
        by_identity: OrderedDict[int, tuple[Key, Value]] = OrderedDict()
        lock = threading.Lock()

        def call(key: Key) -> Value:
            with lock:
                known = by_identity.get(id(key))
                if known is not None:
                    by_identity.move_to_end(id(key))
                    return known[1]
            value = by_content(key)
            with lock:
                by_identity[id(key)] = key, value
                if len(by_identity) > maxsize:
                    by_identity.popitem(last=False)
            return value

        return call

    return decorate
