"""How the characters of a string are written: inside JSON's quotes, or as plain text of a line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from autocog_core.records.rust_regex import any_of, escape_character

_CONTROLS = tuple(map(chr, range(0x20)))
#: Characters of JSON strings that are always written as an escape.
_ESCAPED = ('"', "\\", *_CONTROLS)
_SURROGATE_PAIR = r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_UNICODE_ESCAPE = r"\\u(?:[0-9a-cefA-CEF][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2})"
_JSON_CHARACTER = any_of(
    [r'[^"\\\x00-\x1F]', r'\\["\\\x2Fbfnrt]', _UNICODE_ESCAPE, _SURROGATE_PAIR]
)


@dataclass(frozen=True)
class Alphabet:
    """The characters of a string, each with its written form.

    :ivar any_character: an expression for one character in each of its written forms.
    :ivar raw: the inside of a class of the characters that may stand for themselves.
    :ivar escapes: the written form of each other character that can be written.
    """

    any_character: str
    raw: str
    escapes: tuple[tuple[str, str], ...] = ()

    @property
    def special_characters(self) -> tuple[str, ...]:
        """The characters that do not stand for themselves."""
        return tuple(character for character, _ in self.escapes)

    def character_class(self, inside: str, contains: Callable[[str], bool]) -> str:
        """Return an expression for the written forms of a class of characters.

        :param inside: the class, in Rust's syntax, without the outer brackets.
        :param contains: whether one of `special_characters` is in the class.
        """
        written = [escape for character, escape in self.escapes if contains(character)]
        return any_of([f"[[{inside}]&&[{self.raw}]]", *map(_literal, written)])

    def literal(self, text: str) -> str:
        """Return an expression for the written form of a text.

        :raises ValueError: if a character cannot be written.
        """
        escapes = dict(self.escapes)
        return "".join(
            _literal(escapes[character]) if character in escapes else escape_character(character)
            for character in text
        )


def _literal(text: str) -> str:
    return "".join(map(escape_character, text))


#: Strings of JSON, between their quotes.
JSON_STRING = Alphabet(
    any_character=_JSON_CHARACTER,
    raw=r'^"\\\x00-\x1F',
    escapes=tuple((character, json.dumps(character)[1:-1]) for character in _ESCAPED),
)


def plain_line(excluded: Iterable[str]) -> Alphabet:
    """Return the alphabet of texts on one line.

    :param excluded: characters that end the text.
    """
    inside = "".join(escape_character(character) for character in dict.fromkeys(excluded))
    raw = rf"^\x00-\x1F{inside}"
    return Alphabet(any_character=f"[{raw}]", raw=raw)
