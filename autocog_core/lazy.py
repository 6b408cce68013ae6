"""What is computed or imported on first access: attributes of objects, names of packages."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Collection, Mapping
from importlib import import_module
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


def import_lazily(module: str, name: str) -> Any:
    """Return an object of a module that is imported now.

    For methods of data that a higher layer draws, such as `to_html`.

    :param module: the module's name.
    :param name: the object's name.
    """
    return getattr(import_module(module), name)


def lazy_names(
    package: str, modules: Mapping[str, Collection[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` for a package whose names are imported on first use.

    See PEP 562. The package imports the same names under `TYPE_CHECKING`, for type checkers.

    :param package: the package's name.
    :param modules: by module, the names that the package takes from it.
    """
    module_of = {name: module for module, names in modules.items() for name in names}

    def getattr_(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(
                f"module {package!r} has no attribute {name!r}",
                name=name,
                obj=sys.modules[package],
            )
        value = getattr(import_module(module_of[name]), name)
        # From then on, Python finds the name itself.
        setattr(sys.modules[package], name, value)
        return value

    def dir_() -> list[str]:
        return sorted({*vars(sys.modules[package]), *module_of})

    return getattr_, dir_
