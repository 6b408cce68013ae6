"""The lock of an engine, which all models on it share, and the process that loaded it."""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

#: Types whose equal values may be one object, which says nothing about an engine.
_VALUES = (str, bytes, int, float, complex)
#: How often this process or an ancestor forked; a forked child counts one more than its parent.
forks = 0


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class EngineLock:
    """What all models on one engine share.

    :ivar lock: held during every call of an engine that takes one call at a time.
    :ivar forks: the module's `forks` in the process that loaded the engine. A fork of it cannot use
        the engine: it has one thread, and a lock that another thread held is never released.
    :ivar kept: what lives as long as this object, which each model on the engine holds.
    """

    lock: AbstractContextManager[Any] = field(default_factory=threading.RLock)
    forks: int = field(default_factory=lambda: forks)
    kept: object = field(default=None, repr=False)


def engine_lock_of(backend: object) -> EngineLock:
    """Return the lock of a backend's engine; backends on the same engine have the same one.

    The lock is the backend's own `lock`, if it has one. Otherwise it belongs to the object in
    its attribute `engine`, and without an engine to the backend itself. A number or text in
    `engine` is no engine.

    :param backend: an object with hook implementations.
    """
    shared = _lock_of_object(_engine_of(backend))
    own = getattr(backend, "lock", None)
    return shared if own is None else EngineLock(own, shared.forks, kept=shared)


def set_lock(backend: object, lock: AbstractContextManager[Any]) -> None:
    """Make a backend's own `lock` the one that core holds, if it has such an attribute."""
    if getattr(backend, "lock", lock) is not lock:
        try:
            backend.lock = lock  # type: ignore[attr-defined]
        except AttributeError:
            # Its class does not allow this. Core's calls take turns anyway.
            return


class _KeepingLock:
    """A lock that keeps its engine: the engine's id stays its own while anyone holds the lock.

    A backend may hold only this lock, and not its `EngineLock`.
    """

    def __init__(self, engine: object) -> None:
        self._lock = threading.RLock()
        self._engine = engine
        self.forks = forks

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """See `threading.RLock`."""
        return self._lock.acquire(blocking, timeout)

    def release(self) -> None:
        """See `threading.RLock`."""
        self._lock.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *error: object) -> None:
        self.release()


#: Locks by the id of their object, with a reference that removes them when the object is gone.
_locks: dict[int, tuple[weakref.ref[object], EngineLock]] = {}
#: The same for objects that allow no weak references, such as a dict or one with `__slots__`.
_keeping_locks: weakref.WeakValueDictionary[int, _KeepingLock] = weakref.WeakValueDictionary()
_locks_lock = threading.Lock()


def _lock_of_object(engine: object) -> EngineLock:
    key = id(engine)
    with _locks_lock:
        if not _is_referable(engine):
            lock = _keeping_locks.get(key)
            if lock is None:
                lock = _keeping_locks[key] = _KeepingLock(engine)
            return EngineLock(lock, lock.forks, kept=engine)
        if key not in _locks:
            # Not a WeakKeyDictionary: engines may be equal, or have no hash.
            reference = weakref.ref(engine, lambda _: _locks.pop(key, None) and None)
            _locks[key] = reference, EngineLock()
        return _locks[key][1]


def _engine_of(backend: object) -> object:
    for name in ("engine", "_engine"):
        try:
            engine = getattr(backend, name, None)
        except Exception:  # noqa: BLE001, S112 - a property of the plugin, such as of a closed one
            continue
        if engine is not None and not isinstance(engine, _VALUES):
            return engine
    return backend


def _is_referable(engine: object) -> bool:
    return getattr(type(engine), "__weakrefoffset__", 0) != 0


def _count_fork() -> None:
    global forks, _locks_lock
    forks += 1
    # Another thread of the parent may have held it.
    _locks_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)
