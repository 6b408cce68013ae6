"""The record of a path: the values of its named nodes, by field."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar


class NamedNode(Protocol):
    """What decides the place of a node's value in the record; see `ThoughtNode`."""

    @property
    def name(self) -> str | None:
        """The field."""

    @property
    def keys(self) -> tuple[str, ...] | None:
        """The keys below the field; empty for a group, None without any."""


Node = TypeVar("Node", bound=NamedNode)


def make_record(
    nodes: Iterable[Node], value_of: Callable[[Node], Any], *, has_nulls: bool = False
) -> dict[str, Any]:
    """Return the values of a path's named nodes by field; a list for several of the same name.

    A group with `for_each` has a mapping of its items to their values.

    :param nodes: the nodes of the path, first to last.
    :param value_of: returns the value of a node; None leaves it out, unless it is a value.
    :param has_nulls: whether None is a value.
    """
    by_name: dict[str, list[Any]] = {}
    for node in nodes:
        if node.name is None:
            continue
        is_group = node.keys == ()
        value = {} if is_group else value_of(node)
        if value is None and not has_nulls:
            continue
        entries = by_name.setdefault(node.name, [])
        if node.keys:
            _add_entry(entries[-1], node.keys, value)
        else:
            entries.append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in by_name.items()}


def _add_entry(record: dict[str, Any], keys: tuple[str, ...], value: Any) -> None:
    """Enter a value below keys; several values for the same keys become a list."""
    for key in keys[:-1]:
        record = record.setdefault(key, {})
    key = keys[-1]
    if key not in record:
        record[key] = value
    elif isinstance(record[key], list):
        record[key].append(value)
    else:
        record[key] = [record[key], value]
