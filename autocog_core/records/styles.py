"""How a record is written: as JSON, or by a template."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from autocog_core.errors import InputError, shorten

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ITEM_SEPARATOR = re.compile(r"\s*,\s*")
_KEY_SEPARATOR = re.compile(r"\s*:\s*")


@dataclass(frozen=True, kw_only=True)
class JsonStyle:
    """A record as JSON on one line.

    :ivar item_separator: what stands between entries and items; a comma, with or without blanks.
    :ivar key_separator: what stands between a key and its value; a colon, with or without blanks.
    :ivar quote_keys: whether keys have quotes. Without them, the text is not JSON; keys that are
        not plain words have quotes in any case.
    :ivar write_all_keys: whether keys that are not required are always written. Otherwise, the
        model chooses.
    """

    item_separator: str = ", "
    key_separator: str = ": "
    quote_keys: bool = True
    write_all_keys: bool = False

    def __post_init__(self) -> None:
        for name, pattern, sign in (
            ("item_separator", _ITEM_SEPARATOR, "a comma"),
            ("key_separator", _KEY_SEPARATOR, "a colon"),
        ):
            if not pattern.fullmatch(value := getattr(self, name)):
                raise InputError(
                    f"{name} is {shorten(repr(value))}: give {sign}, with or without blanks",
                    where="style",
                )

    def key(self, name: str) -> str:
        """Return a key as it is written, without the closing quote."""
        if not self.quote_keys and _PLAIN_KEY.fullmatch(name):
            return name
        return json.dumps(name, ensure_ascii=False)[:-1]

    def closing(self, name: str) -> str:
        """Return the quote that closes a key, if it has one."""
        return "" if not self.quote_keys and _PLAIN_KEY.fullmatch(name) else '"'


@dataclass(frozen=True, kw_only=True)
class TemplateStyle:
    r"""A record by a template: text with fields in braces.

    :ivar template: such as "Name: {name}\nAge: {age}\n"; `{{` is a brace. Strings, numbers and
        constants are written without quotes, and end at the text that follows. Lists, and what
        else is no scalar, are written as JSON.
    """

    template: str


Style = JsonStyle | TemplateStyle
