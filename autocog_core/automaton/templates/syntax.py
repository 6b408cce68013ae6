"""What a template may be made of, and the parts of it that are counted while it runs."""

from __future__ import annotations

from typing import cast

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from autocog_core.automaton.templates.filters import CONCAT, LOOP, METHODS, SLICE, filters
from autocog_core.errors import InputError, cut, suggestion

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
_ALLOWED_CALLS = frozenset().union(*METHODS.values())
_ALLOWED_FILTERS = frozenset(name for name in filters() if not name.startswith("_"))
#: Names that Jinja gives a meaning of its own, anywhere.
_JINJAS_OWN = ("self", "super", "caller", "varargs", "kwargs")
#: Loops within loops.
_DEEPEST_LOOPS = 3


def check(tree: nodes.Template) -> None:
    """Refuse what is not listed here.

    :raises InputError: naming the first of it.
    """
    stack: list[tuple[nodes.Node, int]] = [(tree, 0)]
    while stack:
        node, loops = stack.pop()
        if not isinstance(node, _ALLOWED_NODES):
            kind = type(node).__name__.lower()
            raise _refusal(node, f'"{kind}" is not allowed in a template')
        if isinstance(node, nodes.For):
            loops += 1
            if loops > _DEEPEST_LOOPS or node.recursive:
                raise _refusal(node, "loops within loops are nested too deeply")
        name = str(getattr(node, "name", None) or getattr(node, "attr", None))
        if isinstance(node, nodes.Name | nodes.Getattr) and name.startswith("_"):
            what = f'"{cut(name)}" is not allowed: names that begin with "_" are private'
            raise _refusal(node, what)
        if isinstance(node, nodes.Name) and name in _JINJAS_OWN:
            raise _refusal(node, f'"{name}" means something else in a template')
        if isinstance(node, nodes.Filter) and node.name not in _ALLOWED_FILTERS:
            hint = suggestion(node.name, _ALLOWED_FILTERS)
            raise _refusal(node, f'there is no filter "{cut(node.name)}"', hint)
        if isinstance(node, nodes.Call) and not (
            isinstance(node.node, nodes.Getattr) and node.node.attr in _ALLOWED_CALLS
        ):
            raise _refusal(
                node,
                "this call is not allowed",
                "allowed are: " + ", ".join(sorted(_ALLOWED_CALLS)),
            )
        stack += [(child, loops) for child in node.iter_child_nodes()]


def _refusal(node: nodes.Node, what: str, hint: str = "") -> InputError:
    return InputError(what, where=f"template, line {node.lineno}", hint=hint)


def counted(tree: nodes.Template) -> nodes.Template:
    """Filters, which count, in place of what Jinja would turn into plain Python."""
    return cast(nodes.Template, _Counted().visit(tree))


class _Counted(NodeTransformer):
    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.iter = _filter(node.iter, LOOP)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filter(nodes.List(node.nodes), CONCAT)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        if not isinstance(node.arg, nodes.Slice):
            return node
        bounds = (node.arg.start, node.arg.stop, node.arg.step)
        return _filter(node.node, SLICE, *(each or nodes.Const(None) for each in bounds))


def _filter(node: nodes.Node, name: str, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(cast(nodes.Expr, node), name, list(args), [], None, None)
