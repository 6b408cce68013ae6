"""Templates: texts of a program with values of its inputs and fields. Jinja2 in a sandbox.

Programs may be untrusted. So the sandbox lists what a template can do: it reads its inputs and
earlier fields, branches on them and loops over them. Its time and its output are limited.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from autocog_core.automaton.templates.field_values import FIELDS
from autocog_core.automaton.templates.work_limit import WorkLimit, type_label
from autocog_core.errors import InputError, shorten
from autocog_core.types.choice_value import Value
from autocog_core.types.prompt import Prompt, TextPiece

if TYPE_CHECKING:
    from autocog_core.automaton.templates.field_values import FieldUses
    from autocog_core.automaton.templates.sandbox import CompiledTemplate

#: The beginnings of Jinja's expressions, statements and comments.
TEMPLATE_MARKS = ("{{", "{%", "{#")
#: Names that have another meaning in a template.
RESERVED_NAMES = frozenset(
    {
        *("and", "else", "if", "in", "is", "not", "or"),
        *("False", "None", "True", "false", "none", "true"),
        *("caller", "kwargs", "loop", "self", "super", "varargs"),
        FIELDS,
    }
)


def is_template(text: str) -> bool:
    """Return whether a text is a template."""
    return any(mark in text for mark in TEMPLATE_MARKS)


@dataclass(frozen=True)
class Template:
    """Text with `{{ expressions }}` over the inputs and `fields`.

    :ivar source: Jinja2, without macros, assignments and most calls.
    :ivar special: parse special tokens that the author wrote, but never those in inserted values.
    """

    source: str
    special: bool = False

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of the inputs that it uses.

        :raises InputError: if it is not a valid template, or has features that are not allowed.
        """
        return _compile(self.source).names

    @cached_property
    def fields(self) -> FieldUses:
        """The fields that it uses.

        :raises InputError: if it is not a valid template.
        """
        return _compile(self.source).fields

    @cached_property
    def words(self) -> int:
        """The number of its words and signs, which limits the cost of checking it."""
        return _compile(self.source).words

    @cached_property
    def constant_tail(self) -> str | None:
        """The text after the last expression and statement; None if there are none."""
        return _compile(self.source).constant_tail

    def render(self, values: Mapping[str, Any]) -> str | Prompt:
        """Return the text, or with `special` a prompt of trusted and untrusted pieces.

        :param values: the values of the inputs by name, and the `fields`.
        :raises InputError: if a value is missing, or does not fit its use.
        """
        if not self.special:
            return self.text(values)
        # Random marks: the data cannot imitate them.
        opening, closing = (f"\ue000{secrets.token_hex(16)}\ue001" for _ in range(2))
        text = _compile(self.source).render(values, WorkLimit(opening, closing))
        return Prompt(tuple(_split_pieces(text, opening, closing)))

    def text(self, values: Mapping[str, Any]) -> str:
        """Return the text, without regard to special tokens.

        :param values: the values of the inputs by name, and the `fields`.
        :raises InputError: if a value is missing, or does not fit its use.
        """
        return _compile(self.source).render(values, WorkLimit())


@dataclass(frozen=True)
class Each:
    """One choice for each item of a list.

    :ivar items: an expression over the inputs and `fields` for a list: "options".
    :ivar text: the template of each choice, with `item` and its `index` from 0.
    :ivar value: the template of its value, with the same names; None for the default value. A
        template of one expression, such as "{{ item.id }}", keeps numbers and booleans.
    :ivar texts: the templates of several texts for each choice, in place of `text`.
    """

    items: str
    text: str = "{{ item }}"
    value: str | None = None
    texts: tuple[str, ...] = ()

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of the inputs that it uses."""
        names = frozenset[str]().union(*(part.names for part in self._parts))
        return compile_expression(self.items).names | (names - {"item", "index"})

    @cached_property
    def fields(self) -> FieldUses:
        """The fields that it uses."""
        uses = compile_expression(self.items).fields
        for part in self._parts:
            uses |= part.fields
        return uses

    @cached_property
    def words(self) -> int:
        """The number of its words and signs, which limits the cost of checking it."""
        return sum(part.words for part in self._parts) + compile_expression(self.items).words

    @property
    def _parts(self) -> list[CompiledTemplate]:
        """The templates of an item."""
        parts = [_compile(text) for text in self.texts or (self.text,)]
        return parts if self.value is None else [*parts, _compile_value(self.value)[0]]

    def render(self, values: Mapping[str, Any]) -> list[tuple[tuple[str, ...], Value | None]]:
        """Return the texts and the value of each choice.

        :param values: the values of the inputs by name, and the `fields`.
        :raises InputError: if the value of `items` is not a list, or that of `value` no scalar.
        """
        limit = WorkLimit()
        items = compile_expression(self.items).evaluate(values, limit)
        if not isinstance(items, list | tuple):
            raise InputError(
                f'"{shorten(self.items)}" is {type_label(items)}, expected a list', where="choices"
            )
        templates = [_compile(text) for text in self.texts or (self.text,)]
        choices = []
        for index, item in enumerate(limit.counted(items)):
            names = {**values, "item": item, "index": index}
            texts = tuple(template.render(names, limit) for template in templates)
            choices.append((texts, self._render_value(names, limit, index)))
        return choices

    def _render_value(self, names: Mapping[str, Any], limit: WorkLimit, index: int) -> Value | None:
        if self.value is None:
            return None
        template, is_expression = _compile_value(self.value)
        value = template.evaluate(names, limit) if is_expression else template.render(names, limit)
        if not isinstance(value, str | int | float):
            raise InputError(
                f"the value of item {index} is {type_label(value)}, expected a text, number or "
                "boolean",
                where="choices",
            )
        return value


def _split_pieces(text: str, opening: str, closing: str) -> Iterator[TextPiece]:
    """Yield the author's texts as trusted pieces, and the inserted values as untrusted ones."""
    for index, part in enumerate(text.split(opening)):
        value, _, written = part.partition(closing) if index else ("", "", part)
        if value:
            yield TextPiece(value)
        if written:
            yield TextPiece(written, trusted=True)


# The sandbox is imported on first use, because Jinja takes long to import.


@lru_cache(maxsize=4096)
def _compile(source: str) -> CompiledTemplate:
    from autocog_core.automaton.templates.sandbox import CompiledTemplate

    return CompiledTemplate(source)


@lru_cache(maxsize=4096)
def compile_expression(expression: str) -> CompiledTemplate:
    """Return an expression, such as "labels", ready to evaluate.

    :raises InputError: if it is not valid.
    """
    from autocog_core.automaton.templates.sandbox import CompiledTemplate

    return CompiledTemplate(expression, is_expression=True)


def _compile_value(source: str) -> tuple[CompiledTemplate, bool]:
    """Return the template of a value, and whether it is an expression, which keeps its type."""
    match = re.fullmatch(r"\{\{-?((?:(?!\{\{|\}\}).)*?)-?\}\}", source.strip(), re.DOTALL)
    if match is None:
        return _compile(source), False
    return compile_expression(match[1]), True
