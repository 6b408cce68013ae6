"""Which fields a template names, and which of them it needs."""

from __future__ import annotations

from collections.abc import Iterator

from jinja2 import nodes

from autocog_core.automaton.templates.field_values import FIELDS, PROB, FieldUses
from autocog_core.errors import InputError


def find_field_uses(tree: nodes.Template) -> FieldUses:
    """Return the fields that a template names.

    :raises InputError: if it uses `fields` without the name of a field.
    """
    names: set[str] = set()
    required: set[str] = set()
    probs: set[str] = set()
    stack: list[tuple[nodes.Node, frozenset[str]]] = [(tree, frozenset())]
    while stack:
        node, optional = stack.pop()
        name = _field_name(node)
        if name is not None:
            names.add(name)
            required |= {name} - optional
        elif isinstance(node, nodes.Name) and node.name == FIELDS:
            raise InputError(
                f'"{FIELDS}" stands alone',
                where=f"template, line {node.lineno}",
                hint=f"name the field: {FIELDS}.NAME",
            )
        else:
            probs |= _field_with_prob(node)
            stack += _children(node, optional)
    return FieldUses(frozenset(names), frozenset(required), frozenset(probs))


def _field_name(node: nodes.Node | None) -> str | None:
    """Return NAME of `fields.NAME` or `fields["NAME"]`; None for other nodes."""
    match node:
        case nodes.Getattr(node=nodes.Name(name=owner), attr=name) if owner == FIELDS:
            return str(name)
        case nodes.Getitem(node=nodes.Name(name=owner), arg=nodes.Const(value=str(name))) if (
            owner == FIELDS
        ):
            return name
    return None


def _field_with_prob(node: nodes.Node) -> frozenset[str]:
    """Return NAME of `fields.NAME.prob`, or of an entry of the field, as a set."""
    match node:
        case nodes.Getattr(node=owner, attr=attribute) if attribute == PROB:
            pass
        case nodes.Getitem(node=owner, arg=nodes.Const(value=attribute)) if attribute == PROB:
            pass
        case _:
            return frozenset()
    while _field_name(owner) is None and isinstance(owner, nodes.Getattr | nodes.Getitem):
        owner = owner.node
    name = _field_name(owner)
    return frozenset() if name is None else frozenset({name})


def _children(
    node: nodes.Node, optional: frozenset[str]
) -> Iterator[tuple[nodes.Node, frozenset[str]]]:
    """Yield the children of a node, each with the fields that need not be set there."""
    checked: frozenset[str] = frozenset()
    checked_parts: list[nodes.Node] = []
    match node:
        case (
            nodes.Filter(name="default" | "d", node=value)
            | nodes.Test(name="defined" | "undefined", node=value)
        ):
            checked, checked_parts = _value_of_field(value), [value] if value else []
        case nodes.If(test=test, body=body):
            checked, checked_parts = _defined_in(test), body
        case nodes.CondExpr(test=test, expr1=value):
            checked, checked_parts = _defined_in(test), [value]
        case nodes.And(left=left, right=right):
            checked, checked_parts = _defined_in(left), [right]
    for child in node.iter_child_nodes():
        is_checked = any(child is part for part in checked_parts)
        yield child, optional | checked if is_checked else optional


def _value_of_field(node: nodes.Node | None) -> frozenset[str]:
    """Return NAME of `fields.NAME` or `fields.NAME.prob`, as a set."""
    if isinstance(node, nodes.Getattr) and node.attr == PROB and _field_name(node) is None:
        node = node.node
    name = _field_name(node)
    return frozenset() if name is None else frozenset({name})


def _defined_in(test: nodes.Node) -> frozenset[str]:
    """Return the fields that are set if a test is true: those with `is defined`."""
    match test:
        case nodes.Test(name="defined", node=value):
            return _value_of_field(value)
        case nodes.And(left=left, right=right):
            return _defined_in(left) | _defined_in(right)
    return frozenset()
