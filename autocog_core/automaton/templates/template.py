"""Templates: texts of a program that are filled in from its inputs. Jinja2, in a sandbox.

Programs may come from strangers. What a template can do is listed here, and not what it cannot:
it reads its inputs, branches on them, loops over them; no template runs long or writes much.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from autocog_core.automaton.templates.work_limit import WorkLimit, type_label
from autocog_core.errors import InputError, cut
from autocog_core.types.prompt import Prompt, TextPiece

if TYPE_CHECKING:
    from autocog_core.automaton.templates.sandbox import Compiled

#: What begins Jinja's expressions, statements and comments.
MARKS = ("{{", "{%", "{#")
#: Names that mean something else in a template.
RESERVED = frozenset(
    {
        *("and", "else", "if", "in", "is", "not", "or"),
        *("False", "None", "True", "false", "none", "true"),
        *("caller", "kwargs", "loop", "self", "super", "varargs"),
    }
)


def has_marks(text: str) -> bool:
    """Whether a text is a template, and not just itself."""
    return any(mark in text for mark in MARKS)


@dataclass(frozen=True)
class Template:
    """Text with `{{ expressions }}` over the inputs.

    :ivar source: Jinja2, without what could run long (macros, assignments, most calls).
    :ivar special: parse special tokens in what the author wrote; never in what is put in.
    """

    source: str
    special: bool = False

    @cached_property
    def names(self) -> frozenset[str]:
        """The inputs that it uses.

        :raises InputError: if it is no template, or does what is not allowed.
        """
        return _compiled(self.source).names

    @cached_property
    def words(self) -> int:
        """How many words and signs it has: what it costs to look at."""
        return _compiled(self.source).words

    def render(self, values: Mapping[str, Any]) -> str | Prompt:
        """The text, or with `special` a prompt of trusted and untrusted pieces.

        :raises InputError: for an input that is missing, or does not fit what is done with it.
        """
        if not self.special:
            return self.text(values)
        # Nobody who writes the data can guess them.
        opening, closing = (f"\ue000{secrets.token_hex(16)}\ue001" for _ in "<>")
        text = _compiled(self.source).render(values, WorkLimit(opening, closing))
        return Prompt(tuple(_pieces(text, opening, closing)))

    def text(self, values: Mapping[str, Any]) -> str:
        """The text, without regard to special tokens."""
        return _compiled(self.source).render(values, WorkLimit())


@dataclass(frozen=True)
class Each:
    """One choice for every item of a list.

    :ivar items: an expression over the inputs that gives a list: "options".
    :ivar text: what each choice says, with `item` and its `index`, from 0.
    """

    items: str
    text: str = "{{ item }}"

    @cached_property
    def names(self) -> frozenset[str]:
        """The inputs that it uses."""
        inside = _compiled(self.text).names - {"item", "index"}
        return _compiled_list(self.items).names | inside

    @cached_property
    def words(self) -> int:
        """How many words and signs it has: what it costs to look at."""
        return _compiled(self.text).words + _compiled_list(self.items).words

    def render(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        """The choices.

        :raises InputError: if the expression gives no list.
        """
        allowance = WorkLimit()
        found = _compiled_list(self.items).value(values, allowance)
        if not isinstance(found, list | tuple):
            raise InputError(
                f'"{cut(self.items)}" is no list but {type_label(found)}', where="choices"
            )
        template = _compiled(self.text)
        return tuple(
            template.render({**values, "item": item, "index": index}, allowance)
            for index, item in enumerate(allowance.over(found))
        )


def _pieces(text: str, opening: str, closing: str) -> Iterator[TextPiece]:
    """What the author wrote, trusted, and what was put in, not."""
    for number, part in enumerate(text.split(opening)):
        data, _, written = part.partition(closing) if number else ("", "", part)
        if data:
            yield TextPiece(data)
        if written:
            yield TextPiece(written, trusted=True)


@lru_cache(maxsize=4096)
def _compiled(source: str) -> Compiled:
    from autocog_core.automaton.templates.sandbox import Compiled

    return Compiled(source)


@lru_cache(maxsize=4096)
def _compiled_list(expression: str) -> Compiled:
    from autocog_core.automaton.templates.sandbox import Compiled

    return Compiled(expression, expression=True)
