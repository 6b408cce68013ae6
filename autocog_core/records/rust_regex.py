"""Regular expressions in Rust's syntax, which constraints are written in."""

from __future__ import annotations

from collections.abc import Iterable

_SPECIAL = frozenset(r"\.+*?()|[]{}^$#&-~/")


def escape(text: str) -> str:
    """Return an expression that matches this text alone."""
    return "".join(map(escape_character, text))


def escape_character(character: str) -> str:
    """Return one character as it stands in an expression or a class of characters."""
    if character in _SPECIAL or not character.isprintable():
        # The hexadecimal form is also safe between the slashes of a grammar in Lark's syntax.
        return f"\\x{{{ord(character):X}}}"
    return character


def any_of(expressions: Iterable[str]) -> str:
    """Return an expression for the union of languages; each expression counts once."""
    distinct = list(dict.fromkeys(expressions))
    return distinct[0] if len(distinct) == 1 else f"(?:{'|'.join(distinct)})"


def repeat(expression: str, minimum: int, maximum: int | None) -> str:
    """Return an expression for a number of repetitions; None is no upper bound."""
    return f"(?:{expression}){{{minimum},{'' if maximum is None else maximum}}}"
