"""Engines in memory that several models share: those whose config names the same `engine`."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from autocog_core.hooks.engine_lock import EngineLock, engine_lock_of


@dataclass(frozen=True, slots=True)
class EngineUse:
    """A backend on an engine, which may have other backends too.

    :ivar backend: the backend.
    :ivar lock: the lock of the engine.
    :ivar release: says that this backend is about to be closed; a second call does nothing.
    """

    backend: Any
    lock: EngineLock
    release: Callable[[], None]


@dataclass
class _SharedEngine:
    """An engine that is in use.

    :ivar created: the arguments that its backend's `create` returned.
    :ivar lock: the lock of the first backend on it, which is that of all others.
    :ivar reference_count: how many open models use it.
    """

    created: dict[str, Any]
    lock: EngineLock
    reference_count: int = 0


_engines: dict[str, _SharedEngine] = {}
#: A backend that is being made may load other models.
_lock = threading.RLock()


def _renew_lock() -> None:
    """Replace the lock in a forked process: a thread of the parent may have held it."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def use_engine(
    key: str | None,
    create: Callable[[], dict[str, Any]],
    make_backend: Callable[[dict[str, Any]], Any],
) -> EngineUse:
    """Make a backend on the engine of this key; load the engine if no open model uses it.

    :param key: what identifies the engine in this process; None for one that is not shared.
    :param create: loads the engine, and returns the arguments of the backend's class.
    :param make_backend: makes a backend from these arguments.
    """
    if key is None:
        backend = make_backend(create())
        return EngineUse(backend, engine_lock_of(backend), lambda: None)
    # An engine is closed with its last backend. So the new one must be on it before another one's
    # `release` returns, which comes before that one is closed.
    with _lock:
        engine = _engines.get(key)
        created = create() if engine is None else engine.created
        backend = make_backend(created)
        if engine is None:
            engine = _engines[key] = _SharedEngine(created, engine_lock_of(backend))
        engine.reference_count += 1
    return EngineUse(backend, engine.lock, _release_function(key, engine))


def _release_function(key: str, engine: _SharedEngine) -> Callable[[], None]:
    is_released = False

    def release() -> None:
        nonlocal is_released
        with _lock:
            if is_released:
                return
            is_released = True
            engine.reference_count -= 1
            if engine.reference_count == 0 and _engines.get(key) is engine:
                del _engines[key]

    return release
