"""What templates may use: Jinja's own filters and a few methods, all of them counted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from typing import Any

from jinja2 import Undefined, pass_context
from jinja2.filters import FILTERS, do_round
from jinja2.runtime import Context, LoopContext

from autocog_core.automaton.templates.work_limit import (
    WorkLimit,
    allocation_cost,
    rendered_size,
    size_of,
    type_label,
)
from autocog_core.errors import InputError

#: Where the allowance is found among the values of a template.
ALLOWANCE = "_allowance"
#: Filters for what is not written as one.
LOOP, CONCAT, SLICE = "_loop", "_concat", "_slice"

METHODS: Mapping[type, frozenset[str]] = {
    str: frozenset(
        {
            "capitalize",
            "endswith",
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
        }
    ),
    dict: frozenset({"get", "items", "keys", "values"}),
}
_FROM_JINJA = (
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
    "select",
    "selectattr",
    "sort",
    "string",
    "title",
    "trim",
    "truncate",
    "unique",
    "upper",
    "wordcount",
)
#: What may stand after `is`.
TESTS = (
    *("boolean", "defined", "divisibleby", "eq", "even", "false", "float", "ge", "gt", "in"),
    *("integer", "iterable", "le", "lt", "mapping", "ne", "none", "number", "odd", "sequence"),
    *("string", "true", "undefined"),
)
#: Filters that read nothing; and that read a list, but not what is in it. Others write it out.
_CHEAP = ("count", "d", "default", "first", "last", "length")
_SHALLOW = (
    *("abs", "float", "int", "items", "list", "map", "reject", "rejectattr", "reverse", "round"),
    *("select", "selectattr"),
)


class Method:
    """A method of a text or a mapping, which can be called and nothing else."""

    def __init__(self, owner: Any, name: str) -> None:
        self._owner = owner
        self._name = name

    def call(self, allowance: WorkLimit, *args: Any, **kwargs: Any) -> Any:
        """Call it, counted."""
        allowance.take(size_of(self._owner) + sum(size_of(each) for each in args))
        found = getattr(self._owner, self._name)(*args, **kwargs)
        if self._name == "get":
            return found
        if isinstance(self._owner, dict):
            found = list(found)
        allowance.take(allocation_cost(found))
        return found

    def __str__(self) -> str:
        raise InputError(
            f'"{self._name}" is a method', where="template", hint=f"call it: {self._name}()"
        )

    __repr__ = __str__


def filters() -> dict[str, Callable[..., Any]]:
    """All filters, by name."""
    own = {
        "replace": _replace,
        "round": _round,
        "tojson": _tojson,
    }
    found = {name: FILTERS[name] for name in _FROM_JINJA} | own
    counted = {name: _counted(name, each) for name, each in found.items()}
    return counted | {LOOP: _loop, CONCAT: _concat, SLICE: _slice}


def allowance_of(context: Context) -> WorkLimit:
    """What is left for the text that is being made."""
    found = context[ALLOWANCE]
    assert isinstance(found, WorkLimit)
    return found


def _counted(name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
    wanted = getattr(plain, "jinja_pass_arg", None)

    @pass_context
    def counted(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        allowance = allowance_of(context)
        if isinstance(value, LoopContext):
            raise InputError("a loop is no value", where="template")
        if isinstance(value, Iterator):
            value = list(allowance.over(value))
        first = {
            None: (),
            "context": (context,),
            "eval_context": (context.eval_ctx,),
            "environment": (context.environment,),
        }[getattr(wanted, "name", None)]
        if name in _CHEAP:
            return plain(*first, value, *args, **kwargs)
        given = size_of(value) if name in _SHALLOW else rendered_size(value)
        if name == "join":
            separator = args[0] if args else kwargs.get("d", "")
            given += size_of(value) * rendered_size(separator)
        allowance.take(given)
        if name == "replace":
            # Only now: what is counted in may not be written out unless it is short enough.
            allowance.take(_replaced_size(value, *args, **kwargs))
        found = plain(*first, value, *args, **kwargs)
        if isinstance(found, Iterator):
            return allowance.over(found)
        allowance.take(allocation_cost(found))
        return found

    return counted


def _replaced_size(text: Any, old: Any, new: Any, count: int | None = None) -> int:
    text, old, new = str(text), str(old), str(new)
    return int(text.count(old) * len(new))


def _replace(text: Any, old: Any, new: Any, count: int | None = None) -> str:
    return str(text).replace(str(old), str(new), -1 if count is None else count)


def _round(value: Any, precision: int = 0, method: Any = "common") -> float:
    """Jinja's own, which counts up powers of ten of any size."""
    if not -20 <= precision <= 20:
        raise ValueError(f"{precision} is no number of decimal places")
    return do_round(value, precision, method)


def _tojson(value: Any) -> str:
    """As it is written in a prompt: Jinja's own escapes what HTML would read."""
    return json.dumps(value, ensure_ascii=False)


@pass_context
def _loop(context: Context, items: Any) -> Any:
    """The items of a loop, counted."""
    if isinstance(items, Undefined):
        return items
    counted = allowance_of(context).over(_iterable(items))
    # Loops ask for the length of what has one.
    return list(counted) if isinstance(items, Sized) else counted


def _iterable(items: Any) -> Iterable[Any]:
    if not isinstance(items, Iterable):
        raise InputError(f"{type_label(items)} is no list to loop over", where="template")
    return items


@pass_context
def _concat(context: Context, parts: list[Any]) -> str:
    """What stands between `~`."""
    allowance_of(context).take(rendered_size(parts))
    return "".join(map(str, parts))


@pass_context
def _slice(context: Context, value: Any, *bounds: Any) -> Any:
    if isinstance(value, Undefined):
        str(value)
    allowance_of(context).take(size_of(value))
    return value[slice(*bounds)]
