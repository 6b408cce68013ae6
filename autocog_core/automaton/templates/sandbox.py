"""Jinja2 with a list of what is allowed, and a bound on how much is done."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from jinja2 import StrictUndefined, Undefined, nodes, pass_context
from jinja2.exceptions import TemplateSyntaxError, UndefinedError
from jinja2.meta import find_undeclared_variables
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from autocog_core.automaton.templates.filters import (
    ALLOWANCE,
    METHODS,
    TESTS,
    Method,
    allowance_of,
    filters,
)
from autocog_core.automaton.templates.syntax import check, counted
from autocog_core.automaton.templates.work_limit import WorkLimit, size_of, type_label
from autocog_core.errors import InputError, cut, suggestion

#: Words and signs of one template.
MOST_WORDS = 10_000
#: Digits, in bits, of whole numbers that are multiplied.
_MOST_BITS = 1024

_OF_LOOPS = frozenset(
    {
        "depth",
        "depth0",
        "first",
        "index",
        "index0",
        "last",
        "length",
        "nextitem",
        "previtem",
        "revindex",
        "revindex0",
    }
)
_RESULT = "_result"


class _Environment(ImmutableSandboxedEnvironment):
    """Plain data, and nothing behind it: no object gives an attribute that is not listed."""

    intercepted_binops = frozenset(["*", "%", "+"])

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`obj.attribute`: a method that is allowed, what a loop knows, or an entry."""
        if isinstance(obj, Undefined):
            str(obj)
        if isinstance(obj, LoopContext):
            return getattr(obj, attribute) if attribute in _OF_LOOPS else self._no(obj, attribute)
        if attribute in METHODS.get(type(obj), ()):
            return Method(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`obj[argument]`, of what has entries."""
        if isinstance(obj, Undefined):
            str(obj)
        if isinstance(obj, str | list | tuple | dict):
            try:
                return obj[argument]
            except (TypeError, LookupError):
                pass
        return self._no(obj, argument)

    def call(self, context: Context, obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Only methods are called, and these are all allowed."""
        if not isinstance(obj, Method):
            raise InputError(f"{type_label(obj)} cannot be called", where="template")
        return obj.call(allowance_of(context), *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Numbers may be multiplied, texts and lists only added."""
        numbers = all(isinstance(each, int | float) for each in (left, right))
        if operator != "+" and not numbers:
            raise InputError(f'"{operator}" is for numbers', where="template")
        if not numbers:
            allowance_of(context).take(size_of(left) + size_of(right))
        elif operator == "*" and _bits(left) + _bits(right) > _MOST_BITS:
            raise InputError("a number grows too large", where="template")
        return super().call_binop(context, operator, left, right)

    def _no(self, obj: Any, name: Any) -> Undefined:
        kind = "a loop" if isinstance(obj, LoopContext) else type_label(obj)
        shown = cut(repr(name)) if isinstance(name, str | int) else type_label(name)
        return self.undefined(f"{kind} has no entry {shown}")


def _bits(number: float) -> int:
    return number.bit_length() if isinstance(number, int) else 0


@pass_context
def _put_in(context: Context, value: Any) -> str:
    """What an expression comes to, as text."""
    if not isinstance(value, str | int | float | None | Undefined | Method):
        raise InputError(
            f"{type_label(value)} is put into the text as it is",
            where="template",
            hint='add "| join(...)" to a list',
        )
    text = "" if value is None else str(value)
    allowance = allowance_of(context)
    if allowance.opening and text:
        return f"{allowance.opening}{text}{allowance.closing}"
    return text


def _environment() -> _Environment:
    environment = _Environment(
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        finalize=_put_in,
        autoescape=False,
        # Nothing is worked out before it is counted.
        optimized=False,
    )
    environment.globals.clear()
    environment.filters = filters()
    environment.tests = {name: environment.tests[name] for name in TESTS}
    return environment


_ENVIRONMENT = _environment()


class Compiled:
    """A template that was found to do nothing but what is allowed.

    :param expression: whether the source is one expression, without the braces around it.
    :ivar names: what it uses. `words`: how many words and signs it has.
    :raises InputError: if it does, or is none.
    """

    def __init__(self, source: str, *, expression: bool = False) -> None:
        try:
            whole = "{{ " + source + " }}" if expression else source
            self.words = _words(whole)
            tree = _ENVIRONMENT.parse(whole)
            check(tree)
            self.names = frozenset(find_undeclared_variables(tree))
            if expression:
                result = nodes.Name(_RESULT, "store")
                tree.body = [nodes.Assign(result, _expression_of(tree, source), lineno=1)]
                tree.set_environment(_ENVIRONMENT)
            code = _ENVIRONMENT.compile(counted(tree))
        except TemplateSyntaxError as error:
            # Jinja counts lines from 1 within the text.
            place = f" (line {error.lineno} of the text)" if "\n" in source.rstrip() else ""
            raise InputError(
                f"{error.message}{place}",
                where="template",
                hint="" if expression else 'what is no template goes into {literal: "..."}',
            ) from error
        except (RecursionError, SyntaxError, MemoryError):
            # Python's own parser gives up in several ways.
            raise InputError("it is nested too deeply", where="template") from None
        self._template = _ENVIRONMENT.template_class.from_code(_ENVIRONMENT, code, {})

    def render(self, values: Mapping[str, Any], allowance: WorkLimit) -> str:
        """The text, with the allowance's marks around all that is put in."""
        parts = []
        with _Explained(values):
            for part in self._template.generate({**values, ALLOWANCE: allowance}):
                allowance.take(len(part))
                parts.append(part)
        return "".join(parts)

    def value(self, values: Mapping[str, Any], allowance: WorkLimit) -> Any:
        """What an expression comes to, not as text."""
        with _Explained(values):
            context = self._template.new_context({**values, ALLOWANCE: allowance})
            deque(self._template.root_render_func(context), maxlen=0)
            found = context.vars[_RESULT]
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
            case UndefinedError():
                message = str(error)
                hint = ""
                if message.endswith(" is undefined"):
                    hint = suggestion(message.split("'")[1], self._values)
                raise InputError(message, where="template", hint=hint) from error
            case RecursionError():
                raise InputError("it is nested too deeply", where="template") from None
            case Exception():
                # Filters raise what they come upon.
                raise InputError(cut(str(error)), where="template") from error


def _words(source: str) -> int:
    """How many words and signs a template has, and not too many to look at."""
    found = 0
    for _, kind, _ in _ENVIRONMENT.lexer.tokeniter(source, None):
        found += kind != "whitespace"
        if found > MOST_WORDS:
            raise InputError(f"it has more than {MOST_WORDS} words and signs", where="template")
    return found


def _expression_of(tree: nodes.Template, source: str) -> nodes.Expr:
    """The expression that a template consists of."""
    match tree.body:
        case [nodes.Output(nodes=[nodes.Expr() as found])] if not isinstance(
            found, nodes.TemplateData
        ):
            return found
    raise InputError(f'"{cut(source)}" is no expression', where="template")
