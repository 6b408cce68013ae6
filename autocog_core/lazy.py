"""Attributes that are computed on first access."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

Value = TypeVar("Value")


class lazy(Generic[Value]):  # noqa: N801 - a decorator, beside `property` and `cached_property`
    """`functools.cached_property` with a lock for each object.

    Before Python 3.12, `cached_property` has one lock for all objects of a class: while one model
    waits for its server, every other model would wait, too.

    :param compute: the method that computes the value. An error is not stored.
    """

    def __init__(self, compute: Callable[[Any], Value]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...
    def __get__(self, instance: object | None, owner: type) -> Self | Value:
        if instance is None:
            return self
        attributes = instance.__dict__
        if self._name not in attributes:
            with attributes.setdefault("_computing", threading.RLock()):
                if self._name not in attributes:
                    attributes[self._name] = self._compute(instance)
        value: Value = attributes[self._name]
        return value
