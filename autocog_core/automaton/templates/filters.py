"""The filters, tests and methods that templates may use. All of them count their work."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from typing import Any

from jinja2 import Undefined, pass_context
from jinja2.filters import FILTERS, do_round
from jinja2.runtime import Context, LoopContext

from autocog_core.automaton.templates.field_values import without_prob
from autocog_core.automaton.templates.work_limit import (
    WorkLimit,
    allocation_cost,
    rendered_size,
    size_of,
    type_label,
)
from autocog_core.errors import InputError

#: The name of the `WorkLimit` among the values of a template.
WORK_LIMIT = "_work_limit"
#: Filters that replace other syntax.
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
_JINJA_FILTERS = (
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
#: The allowed tests, after `is`.
TESTS = (
    *("boolean", "defined", "divisibleby", "eq", "even", "false", "float", "ge", "gt", "in"),
    *("integer", "iterable", "le", "lt", "mapping", "ne", "none", "number", "odd", "sequence"),
    *("string", "true", "undefined"),
)
#: Filters that do not read their value, and filters that read a list but not its items. All others
#: may turn their value into text.
_CONSTANT_TIME = ("count", "d", "default", "first", "last", "length")
_ITEMS_ONLY = (
    *("abs", "float", "int", "items", "list", "map", "reject", "rejectattr", "reverse", "round"),
    *("select", "selectattr"),
)


class Method:
    """A bound method of a text or a mapping. A template can only call it."""

    def __init__(self, owner: Any, name: str) -> None:
        self._owner = owner
        self._name = name

    def call(self, limit: WorkLimit, *args: Any, **kwargs: Any) -> Any:
        """Call the method, and count its work."""
        limit.spend(size_of(self._owner) + sum(map(size_of, args)))
        result = getattr(self._owner, self._name)(*args, **kwargs)
        if self._name == "get":
            return result
        if isinstance(self._owner, dict):
            result = list(result)
        limit.spend(allocation_cost(result))
        return result

    def __str__(self) -> str:
        raise InputError(
            f'"{self._name}" is a method', where="template", hint=f"call it: {self._name}()"
        )

    __repr__ = __str__


def make_filters() -> dict[str, Callable[..., Any]]:
    """Return all filters by name. Those that begin with "_" are not for authors."""
    replacements = {"replace": _replace, "round": _round, "tojson": _tojson}
    allowed = {name: FILTERS[name] for name in _JINJA_FILTERS} | replacements
    counting = {name: _add_counting(name, function) for name, function in allowed.items()}
    return counting | {LOOP: _loop, CONCAT: _concat, SLICE: _slice}


def get_work_limit(context: Context) -> WorkLimit:
    """Return the limit of the text that is being rendered."""
    limit = context[WORK_LIMIT]
    assert isinstance(limit, WorkLimit)
    return limit


def _add_counting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that counts the work of one of Jinja's filters."""
    pass_argument = getattr(getattr(function, "jinja_pass_arg", None), "name", None)

    @pass_context
    def count_and_call(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        limit = get_work_limit(context)
        if isinstance(value, LoopContext):
            raise InputError(
                "a loop is not a value", where="template", hint="use a field such as loop.index"
            )
        if isinstance(value, Iterator):
            value = list(limit.counted(value))
        first_arguments = {
            None: (),
            "context": (context,),
            "eval_context": (context.eval_ctx,),
            "environment": (context.environment,),
        }[pass_argument]
        if name in _CONSTANT_TIME:
            return function(*first_arguments, value, *args, **kwargs)
        work = size_of(value) if name in _ITEMS_ONLY else rendered_size(value)
        if name == "join":
            separator = args[0] if args else kwargs.get("d", "")
            work += size_of(value) * rendered_size(separator)
        limit.spend(work)
        if name == "replace":
            # Counting occurrences reads the whole text, so check its length first.
            limit.spend(_replacement_size(value, *args, **kwargs))
        result = function(*first_arguments, value, *args, **kwargs)
        if isinstance(result, Iterator):
            return limit.counted(result)
        limit.spend(allocation_cost(result))
        return result

    return count_and_call


def _replacement_size(text: Any, old: Any, new: Any, count: int | None = None) -> int:
    text, old, new = str(text), str(old), str(new)
    return int(text.count(old) * len(new))


def _replace(text: Any, old: Any, new: Any, count: int | None = None) -> str:
    return str(text).replace(str(old), str(new), -1 if count is None else count)


def _round(value: Any, precision: int = 0, method: Any = "common") -> float:
    """Round with Jinja's filter, which computes powers of ten of any size."""
    if not -20 <= precision <= 20:
        raise ValueError(f"round: the precision is {precision}, give -20 to 20")
    return do_round(value, precision, method)


def _tojson(value: Any) -> str:
    """Return JSON as it is written in a prompt: Jinja's filter escapes it for HTML."""
    return json.dumps(_plain_booleans(value), ensure_ascii=False)


def _plain_booleans(value: Any) -> Any:
    """Return data for JSON, in which the values of fields have their plain types."""
    match value:
        case list() | tuple():
            return [_plain_booleans(item) for item in value]
        case dict():
            return {key: _plain_booleans(item) for key, item in value.items()}
    return without_prob(value)


@pass_context
def _loop(context: Context, items: Any) -> Any:
    """Return the items of a loop, counted."""
    if isinstance(items, Undefined):
        return items
    if not isinstance(items, Iterable):
        raise InputError(f"cannot loop over {type_label(items)}", where="template")
    counted = get_work_limit(context).counted(items)
    # `loop.length` needs a list.
    return list(counted) if isinstance(items, Sized) else counted


@pass_context
def _concat(context: Context, parts: list[Any]) -> str:
    """Return the operands of `~` as one text."""
    get_work_limit(context).spend(rendered_size(parts))
    return "".join(map(str, parts))


@pass_context
def _slice(context: Context, value: Any, *bounds: Any) -> Any:
    """Return `value[start:stop:step]`."""
    if isinstance(value, Undefined):
        str(value)
    get_work_limit(context).spend(size_of(value))
    return value[slice(*bounds)]
