"""Jinja2 with a list of allowed features, and a limit on its work."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import takewhile
from typing import Any, cast

from jinja2 import StrictUndefined, Undefined, nodes, pass_context
from jinja2.exceptions import TemplateSyntaxError, UndefinedError
from jinja2.meta import find_undeclared_variables
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from autocog_core.automaton.templates.field_uses import find_field_uses
from autocog_core.automaton.templates.field_values import (
    FIELDS,
    PROB,
    Fields,
    has_prob,
    without_prob,
)
from autocog_core.automaton.templates.filters import (
    METHODS,
    TESTS,
    WORK_LIMIT,
    Method,
    get_work_limit,
    make_filters,
)
from autocog_core.automaton.templates.syntax import add_counting, check_syntax
from autocog_core.automaton.templates.work_limit import WorkLimit, size_of, type_label
from autocog_core.errors import InputError, shorten, suggest

#: Words and signs of one template.
MAX_WORDS = 10_000
#: Bits of the product of two whole numbers.
_MAX_BITS = 1024

_LOOP_FIELDS = frozenset(
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
#: Tests that Jinja makes with `is`, or with the exact type.
_TESTS_OF_BOOLEANS = ("boolean", "false", "integer", "true")


class _MissingField(StrictUndefined):
    """A field that the path has not set. Its share is missing too: `default` applies to both."""


class _Environment(ImmutableSandboxedEnvironment):
    """An environment for plain data: objects have no attributes except the listed ones."""

    intercepted_binops = frozenset(["*", "%", "+"])

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return `obj.attribute`: an allowed method, a field of a loop, or an entry."""
        if isinstance(obj, Undefined) and not isinstance(obj, _MissingField):
            str(obj)
        if isinstance(obj, LoopContext):
            if attribute in _LOOP_FIELDS:
                return getattr(obj, attribute)
            return self._undefined_entry(obj, attribute)
        if attribute in METHODS.get(str if isinstance(obj, str) else type(obj), ()):
            return Method(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return `obj[argument]` of a text, list or mapping."""
        if isinstance(obj, _MissingField) and argument == PROB:
            return obj
        if isinstance(obj, Undefined):
            str(obj)
        if argument == PROB and has_prob(obj):
            return _known_prob(obj.prob)
        if isinstance(obj, str | list | tuple | dict):
            try:
                return obj[argument]
            except (TypeError, LookupError):
                pass
        if isinstance(obj, Fields):
            return _MissingField(f'the field "{shorten(str(argument))}" is not set on this path')
        return self._undefined_entry(obj, argument)

    def call(self, context: Context, obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a method. `Method` objects exist only for allowed methods."""
        if not isinstance(obj, Method):
            raise InputError(f"{type_label(obj)} cannot be called", where="template")
        return obj.call(get_work_limit(context), *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Apply an operator: any of them to numbers, and only `+` to texts and lists."""
        are_numbers = all(isinstance(operand, int | float) for operand in (left, right))
        if operator != "+" and not are_numbers:
            raise InputError(f'"{operator}" works only on numbers', where="template")
        if not are_numbers:
            get_work_limit(context).spend(size_of(left) + size_of(right))
        elif operator == "*" and _bit_length(left) + _bit_length(right) > _MAX_BITS:
            raise InputError("the product of two numbers is too large", where="template")
        return super().call_binop(context, operator, left, right)

    def _undefined_entry(self, obj: Any, name: Any) -> Undefined:
        kind = "a loop" if isinstance(obj, LoopContext) else type_label(obj)
        entry = shorten(repr(name)) if isinstance(name, str | int) else type_label(name)
        return self.undefined(f"{kind} has no entry {entry}")


def _known_prob(prob: float | None) -> float:
    """Return the share of a field.

    :raises InputError: if its choices were not all read.
    """
    if prob is None:
        raise InputError(
            "uses the probability of a choice, and the run reads only what proves the best one",
            where="template",
            hint='leave out top of that action, or probs="winner"',
        )
    return prob


def _bit_length(number: float) -> int:
    return number.bit_length() if isinstance(number, int) else 0


@pass_context
def _finalize(context: Context, value: Any) -> str:
    """Return the value of an expression as text."""
    if not isinstance(value, str | int | float | None | Undefined | Method):
        raise InputError(
            f"cannot insert {type_label(value)} into a text",
            where="template",
            hint="add a filter such as \"| join(', ')\"",
        )
    text = "" if value is None else str(value)
    limit = get_work_limit(context)
    if limit.opening and text:
        return f"{limit.opening}{text}{limit.closing}"
    return text


def _make_environment() -> _Environment:
    environment = _Environment(
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        finalize=_finalize,
        autoescape=False,
        # The optimizer would evaluate constant expressions without counting them.
        optimized=False,
    )
    environment.globals.clear()
    environment.filters = make_filters()
    environment.tests = {name: environment.tests[name] for name in TESTS}
    for name in _TESTS_OF_BOOLEANS:
        environment.tests[name] = _test_plain_value(environment.tests[name])
    return environment


def _test_plain_value(test: Any) -> Callable[..., bool]:
    return lambda value, *args: test(without_prob(value), *args)


_ENVIRONMENT = _make_environment()


class CompiledTemplate:
    """A compiled template that uses only allowed features.

    :param source: the template.
    :param is_expression: whether the source is one expression, without braces.
    :ivar names: the names of the inputs that it uses.
    :ivar fields: the fields that it uses.
    :ivar words: the number of its words and signs.
    :ivar constant_tail: the text after its last expression and statement; None without these.
    :raises InputError: if it is not a valid template, or has features that are not allowed.
    """

    def __init__(self, source: str, *, is_expression: bool = False) -> None:
        try:
            template = "{{ " + source + " }}" if is_expression else source
            self.words = _count_words(template)
            tree = _ENVIRONMENT.parse(template)
            check_syntax(tree)
            self.names = frozenset(find_undeclared_variables(tree)) - {FIELDS}
            self.fields = find_field_uses(tree)
            self.constant_tail = _get_constant_tail(tree)
            if is_expression:
                result = nodes.Name(_RESULT, "store")
                tree.body = [nodes.Assign(result, _get_expression(tree, source), lineno=1)]
                tree.set_environment(_ENVIRONMENT)
            code = _ENVIRONMENT.compile(add_counting(tree))
        except TemplateSyntaxError as error:
            # Jinja counts lines from 1 within the text.
            line = f" (line {error.lineno} of the text)" if "\n" in source.rstrip() else ""
            hint = 'for text that is not a template: {literal: "..."}'
            if is_expression:
                hint = "write an expression without braces" if "{{" in source else ""
            raise InputError(
                f"{str(error.message).rstrip('.')}{line}",
                where="template",
                hint=hint,
            ) from error
        except (RecursionError, SyntaxError, MemoryError):
            # Python's parser reports deep nesting as any of these.
            raise InputError("is nested too deeply", where="template") from None
        self._template = _ENVIRONMENT.template_class.from_code(_ENVIRONMENT, code, {})

    def render(self, values: Mapping[str, Any], limit: WorkLimit) -> str:
        """Return the text, with the limit's marks around all inserted values.

        :param values: the values of the inputs, by name.
        :param limit: the work that is left.
        :raises InputError: if a value is missing or does not fit, or the limit is exceeded.
        """
        parts = []
        with _translate_errors(values):
            for part in self._template.generate({**values, WORK_LIMIT: limit}):
                limit.spend(len(part))
                parts.append(part)
        return "".join(parts)

    def evaluate(self, values: Mapping[str, Any], limit: WorkLimit) -> Any:
        """Return the value of an expression.

        :param values: the values of the inputs, by name.
        :param limit: the work that is left.
        :raises InputError: if a value is missing or does not fit, or the limit is exceeded.
        """
        with _translate_errors(values):
            context = self._template.new_context({**values, WORK_LIMIT: limit})
            deque(self._template.root_render_func(context), maxlen=0)
            result = context.vars[_RESULT]
            if isinstance(result, Undefined):
                str(result)
            return list(result) if isinstance(result, Iterator) else result


@contextmanager
def _translate_errors(values: Mapping[str, Any]) -> Iterator[None]:
    """Raise `InputError` for all exceptions of a template."""
    try:
        yield
    except InputError:
        raise
    except UndefinedError as error:
        message = str(error)
        hint = ""
        if message.endswith(" is undefined"):
            hint = suggest(message.split("'")[1], values)
        raise InputError(message, where="template", hint=hint) from error
    except RecursionError:
        raise InputError("is nested too deeply", where="template") from None
    except Exception as error:
        # Filters raise anything.
        raise InputError(shorten(str(error)), where="template") from error


def _count_words(source: str) -> int:
    """Return the number of words and signs of a template, or reject a long one."""
    count = 0
    for _, kind, _ in _ENVIRONMENT.lexer.tokeniter(source, None):
        count += kind != "whitespace"
        if count > MAX_WORDS:
            raise InputError(f"has more than {MAX_WORDS} words and signs", where="template")
    return count


def _get_constant_tail(tree: nodes.Template) -> str | None:
    """Return the text after the last expression and statement; None if there are none."""
    parts: list[nodes.Node] = []
    for node in tree.body:
        parts += node.nodes if isinstance(node, nodes.Output) else [node]
    tail = list(takewhile(lambda part: isinstance(part, nodes.TemplateData), reversed(parts)))
    if len(tail) == len(parts):
        return None
    return "".join(cast(nodes.TemplateData, part).data for part in reversed(tail))


def _get_expression(tree: nodes.Template, source: str) -> nodes.Expr:
    """Return the expression that is the whole template."""
    match tree.body:
        case [nodes.Output(nodes=[nodes.Expr() as expression])] if not isinstance(
            expression, nodes.TemplateData
        ):
            return expression
    raise InputError(f'"{shorten(source)}" is not an expression', where="template")
