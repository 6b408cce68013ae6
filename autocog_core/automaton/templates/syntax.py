"""The allowed syntax of templates, and filters that count the work of other syntax."""

from __future__ import annotations

from typing import cast

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from autocog_core.automaton.templates.field_values import FIELDS
from autocog_core.automaton.templates.filters import CONCAT, LOOP, METHODS, SLICE, make_filters
from autocog_core.errors import InputError, shorten, suggest

_ALLOWED_NODES = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.If,
    nodes.For,
    nodes.Name,
    nodes.Const,
    nodes.List,
    nodes.Tuple,
    nodes.Dict,
    nodes.Pair,
    nodes.Keyword,
    nodes.Getattr,
    nodes.Getitem,
    nodes.Slice,
    nodes.Filter,
    nodes.Test,
    nodes.CondExpr,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Concat,
    nodes.Add,
    nodes.Sub,
    nodes.Mul,
    nodes.Div,
    nodes.FloorDiv,
    nodes.Mod,
    nodes.Neg,
    nodes.Pos,
    nodes.Call,
)
_ALLOWED_METHODS = frozenset().union(*METHODS.values())
_ALLOWED_FILTERS = frozenset(name for name in make_filters() if not name.startswith("_"))
#: How a template spells nodes whose class has another name.
_STATEMENTS = {"assign": "set", "assignblock": "set", "callblock": "call", "filterblock": "filter"}
#: Names to which Jinja gives a meaning everywhere.
_JINJA_NAMES = ("self", "super", "caller", "varargs", "kwargs")
_MAX_LOOP_DEPTH = 3


def check_syntax(tree: nodes.Template) -> None:
    """Reject syntax that is not allowed.

    :raises InputError: naming the first error.
    """
    stack: list[tuple[nodes.Node, int]] = [(tree, 0)]
    while stack:
        node, loop_depth = stack.pop()
        if not isinstance(node, _ALLOWED_NODES):
            kind = type(node).__name__.lower()
            hint = "allowed statements: if, for, raw" if isinstance(node, nodes.Stmt) else ""
            raise _error(
                node, f'"{_STATEMENTS.get(kind, kind)}" is not allowed in a template', hint
            )
        if isinstance(node, nodes.For):
            loop_depth += 1
            if node.recursive:
                raise _error(node, "recursive loops are not allowed")
            if loop_depth > _MAX_LOOP_DEPTH:
                raise _error(node, f"loops are nested more than {_MAX_LOOP_DEPTH} deep")
        name = str(getattr(node, "name", None) or getattr(node, "attr", None))
        if isinstance(node, nodes.Name | nodes.Getattr) and name.startswith("_"):
            message = f'"{shorten(name)}" is not allowed: names that begin with "_" are private'
            raise _error(node, message)
        if isinstance(node, nodes.Name) and (
            name in _JINJA_NAMES or (name == FIELDS and node.ctx == "store")
        ):
            raise _error(node, f'the name "{name}" is reserved in templates')
        if isinstance(node, nodes.Filter) and node.name not in _ALLOWED_FILTERS:
            hint = suggest(node.name, _ALLOWED_FILTERS)
            raise _error(node, f'unknown filter "{shorten(node.name)}"', hint)
        if isinstance(node, nodes.Call) and not (
            isinstance(node.node, nodes.Getattr) and node.node.attr in _ALLOWED_METHODS
        ):
            hint = "allowed methods: " + ", ".join(sorted(_ALLOWED_METHODS))
            raise _error(node, "this call is not allowed", hint)
        stack += [(child, loop_depth) for child in node.iter_child_nodes()]


def _error(node: nodes.Node, message: str, hint: str = "") -> InputError:
    return InputError(message, where=f"template, line {node.lineno}", hint=hint)


def add_counting(tree: nodes.Template) -> nodes.Template:
    """Replace syntax that Jinja compiles to plain Python by filters that count its work."""
    return cast(nodes.Template, _CountingTransformer().visit(tree))


class _CountingTransformer(NodeTransformer):
    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.iter = _filter_node(node.iter, LOOP)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filter_node(nodes.List(node.nodes), CONCAT)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        if not isinstance(node.arg, nodes.Slice):
            return node
        bounds = (node.arg.start, node.arg.stop, node.arg.step)
        return _filter_node(node.node, SLICE, *(bound or nodes.Const(None) for bound in bounds))


def _filter_node(node: nodes.Node, name: str, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(cast(nodes.Expr, node), name, list(args), [], None, None)
