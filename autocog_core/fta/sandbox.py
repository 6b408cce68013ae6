"""Jinja2 with a list of what is allowed, and a bound on how much is done."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any

from jinja2 import (
    StrictUndefined,
    TemplateError,
    Undefined,
    nodes,
    pass_context,
    pass_eval_context,
)
from jinja2.exceptions import SecurityError, TemplateSyntaxError, UndefinedError
from jinja2.filters import do_join, do_replace
from jinja2.meta import find_undeclared_variables
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from autocog_core.errors import InputError, did_you_mean

#: Passes of all loops of one text, and characters of it.
MOST_PASSES = 1_000_000
MOST_CHARACTERS = 10_000_000

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
_ALLOWED_CALLS = frozenset(
    {
        "capitalize",
        "endswith",
        "get",
        "items",
        "keys",
        "lower",
        "lstrip",
        "removeprefix",
        "removesuffix",
        "rstrip",
        "split",
        "splitlines",
        "startswith",
        "strip",
        "title",
        "upper",
        "values",
    }
)
_ALLOWED_FILTERS = frozenset(
    {
        "abs",
        "capitalize",
        "count",
        "d",
        "default",
        "dictsort",
        "first",
        "float",
        "int",
        "items",
        "join",
        "last",
        "length",
        "list",
        "lower",
        "map",
        "max",
        "min",
        "reject",
        "rejectattr",
        "replace",
        "reverse",
        "round",
        "select",
        "selectattr",
        "sort",
        "string",
        "title",
        "tojson",
        "trim",
        "truncate",
        "unique",
        "upper",
        "wordcount",
    }
)
#: Loops within loops.
_DEEPEST_LOOPS = 3
_STEPS = "_steps"


class _Environment(ImmutableSandboxedEnvironment):
    """Numbers may be multiplied; texts and lists may not."""

    intercepted_binops = frozenset(["*", "%"])

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if not all(isinstance(each, int | float) for each in (left, right)):
            raise InputError(f'"{operator}" is for numbers', where="template")
        return super().call_binop(context, operator, left, right)


class _Steps:
    """What is left of the bound on one text's loops; and the marks around what is put in."""

    def __init__(self, opening: str, closing: str) -> None:
        self.opening = opening
        self.closing = closing
        self._left = MOST_PASSES

    def over(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            self._left -= 1
            if self._left < 0:
                raise InputError(f"its loops take more than {MOST_PASSES} passes", where="template")
            yield item


@pass_context
def _stepped(context: Context, items: Any) -> Any:
    """The items of a loop, counted."""
    if isinstance(items, Undefined):
        return items
    steps: _Steps = context[_STEPS]
    counted = steps.over(items)
    # Loops ask for the length of what has one.
    return list(counted) if isinstance(items, Sized) else counted


@pass_context
def _put_in(context: Context, value: Any) -> str:
    """What an expression comes to, as text."""
    if not isinstance(value, str | int | float | None | Undefined):
        raise InputError(
            f"a {type(value).__name__} is put into the text as it is",
            where="template",
            hint='add "| join(...)" to a list',
        )
    text = "" if value is None else str(value)
    steps: _Steps = context[_STEPS]
    return f"{steps.opening}{text}{steps.closing}" if steps.opening and text else text


def _refuse_above(size: int) -> None:
    if size > MOST_CHARACTERS:
        raise InputError(
            f"a text of it is longer than {MOST_CHARACTERS} characters", where="template"
        )


@pass_eval_context
def _join(context: Any, value: Any, d: str = "", attribute: Any = None) -> str:
    """Jinja's own, for texts that it does not make too long."""
    items = list(value)
    _refuse_above(len(str(d)) * len(items) + sum(len(x) for x in items if isinstance(x, str)))
    joined: str = do_join(context, items, str(d), attribute)
    return joined


@pass_eval_context
def _replace(context: Any, text: Any, old: Any, new: Any, count: int | None = None) -> str:
    """Jinja's own, for texts that it does not make too long."""
    text, old, new = str(text), str(old), str(new)
    _refuse_above(len(text) + text.count(old) * max(0, len(new) - len(old)))
    return do_replace(context, text, old, new, count)


def _round(value: Any, precision: int = 0) -> float:
    """To some decimal places; Jinja's own counts up powers of ten of any size."""
    return round(float(value), precision)


def _environment() -> _Environment:
    environment = _Environment(
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        finalize=_put_in,
        autoescape=False,
    )
    environment.globals.clear()
    environment.filters = {
        name: found for name, found in environment.filters.items() if name in _ALLOWED_FILTERS
    }
    environment.filters |= {"join": _join, "replace": _replace, "round": _round}
    # As it is written in a prompt: Jinja's own escapes what HTML would read.
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    environment.filters[_STEPS] = _stepped
    return environment


_ENVIRONMENT = _environment()


class Compiled:
    """A template that was found to do nothing but what is allowed.

    :raises InputError: if it does, or is none.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        try:
            tree = _ENVIRONMENT.parse(source)
            _check(tree)
            self.names = frozenset(find_undeclared_variables(tree))
            for loop in tree.find_all(nodes.For):
                loop.iter = nodes.Filter(loop.iter, _STEPS, [], [], None, None)
            code = _ENVIRONMENT.compile(tree)
        except TemplateSyntaxError as error:
            # Jinja counts lines from 1 within the text.
            place = f" (line {error.lineno} of the text)" if "\n" in source.rstrip() else ""
            raise InputError(f"{error.message}{place}", where="template") from error
        except RecursionError:
            raise InputError("it is nested too deeply", where="template") from None
        self._template = _ENVIRONMENT.template_class.from_code(_ENVIRONMENT, code, {})

    def render(self, values: Mapping[str, Any], opening: str, closing: str) -> list[str]:
        """The parts of the text, with `opening` and `closing` around all that is put in."""
        parts = []
        size = 0
        with _Explained(values):
            for part in self._template.generate({**values, _STEPS: _Steps(opening, closing)}):
                size += len(part)
                if size > MOST_CHARACTERS:
                    raise InputError(
                        f"it gives more than {MOST_CHARACTERS} characters", where="template"
                    )
                parts.append(part)
        return parts

    def value(self, values: Mapping[str, Any]) -> Any:
        """What a template of one expression comes to, not as text."""
        expression = _ENVIRONMENT.compile_expression(
            self._source.strip().removeprefix("{{").removesuffix("}}"), undefined_to_none=False
        )
        with _Explained(values):
            found = expression(**values)
            if isinstance(found, Undefined):
                str(found)
            return list(found) if isinstance(found, Iterator) else found


class _Explained:
    """Turns what a template raises into one error of ours."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        match error:
            case None | InputError():
                return
            case SecurityError():
                raise InputError(f"not allowed: {error}", where="template") from error
            case UndefinedError():
                names = [name for name in self._values if not name.startswith("_")]
                hint = did_you_mean(_quoted(str(error)), names)
                raise InputError(str(error), where="template", hint=hint) from error
            case RecursionError():
                raise InputError("it is nested too deeply", where="template") from None
            case TemplateError() | ArithmeticError() | LookupError() | TypeError() | ValueError():
                raise InputError(str(error), where="template") from error


def _quoted(message: str) -> str:
    """The name in Jinja's "'name' is undefined"."""
    return message.split("'")[1] if message.count("'") >= 2 else message


def _check(tree: nodes.Template) -> None:
    stack: list[tuple[nodes.Node, int]] = [(tree, 0)]
    while stack:
        node, loops = stack.pop()
        if not isinstance(node, _ALLOWED_NODES):
            raise _refusal(node, f"{type(node).__name__.lower()} is not allowed in a template")
        if isinstance(node, nodes.For):
            loops += 1
            if loops > _DEEPEST_LOOPS or node.recursive:
                raise _refusal(node, "loops within loops are nested too deeply")
        name = getattr(node, "name", None) or getattr(node, "attr", None)
        if isinstance(node, nodes.Name | nodes.Getattr) and str(name).startswith("_"):
            raise _refusal(node, f'"{name}" is not allowed: names that begin with "_" are private')
        if isinstance(node, nodes.Filter) and node.name not in _ALLOWED_FILTERS:
            hint = did_you_mean(node.name, _ALLOWED_FILTERS)
            raise _refusal(node, f'there is no filter "{node.name}"', hint)
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
