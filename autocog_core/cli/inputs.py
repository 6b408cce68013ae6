"""What people write on the command line, read into what the API takes."""

from __future__ import annotations

import sys
import tomllib
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autocog_core.errors import InputError

_TOML_TYPES = (bool, int, float, str, list, dict)


def read_prompt(argument: str) -> str:
    """The prompt itself, or for - what standard input holds."""
    return _read_stdin().removesuffix("\n").removesuffix("\r") if argument == "-" else argument


def read_lines(path: Path) -> list[str]:
    """The lines of a file that are not empty; - is standard input.

    :raises InputError: if it cannot be read.
    """
    if str(path) == "-":
        text = _read_stdin()
    else:
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot be read: {error}", where=str(path)) from error
    # Not splitlines(), which also cuts at characters that may well be part of a choice.
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return [line for line in lines if line]


def backend_options(pairs: Sequence[str]) -> dict[str, Any]:
    """`KEY=VALUE` pairs as a table of options.

    :raises InputError: for what is no such pair, or a key given twice.
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise InputError(f"{pair!r}", where="--option", hint="write it as KEY=VALUE")
        if key in options:
            raise InputError(f'"{key}" is given twice', where="--option")
        options[key] = toml_literal(value)
    return options


def toml_literal(text: str) -> Any:
    """`text` as a TOML value (`3`, `true`, `"3"`, `[1, 2]`); what is none is a string."""
    try:
        document = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    value = document.pop("value")
    # Text with a newline may parse as more keys; no option is a date.
    return text if document or not isinstance(value, _TOML_TYPES) else value


def messages_of(prompt: str, system: str | None) -> list[dict[str, str]]:
    """A conversation with one question."""
    before = [] if system is None else [{"role": "system", "content": system}]
    return [*before, {"role": "user", "content": prompt}]


def prompt_arguments(prompt: str, chat: bool, system: str | None) -> dict[str, Any]:
    """The prompt as keyword arguments of the model's methods."""
    if chat or system is not None:
        return {"messages": messages_of(prompt, system)}
    return {"prompt": prompt}


def glued(prompt: str, choices: Sequence[str]) -> list[str]:
    """The choices that continue the last word of the prompt, mostly by mistake."""
    if not _in_word(prompt[-1:]):
        return []
    return [choice for choice in choices if _in_word(choice[:1])]


def escaped_newline(text: str) -> bool:
    r"""Whether `text` has a backslash and an n where a newline was probably meant."""
    return "\\n" in text


def _in_word(character: str) -> bool:
    # Chinese, Japanese and Korean characters are letters too, but need no blank between words.
    return character.isalnum() and unicodedata.east_asian_width(character) not in ("W", "F")


def _read_stdin() -> str:
    # Bytes that are no UTF-8 become surrogates, as in arguments: the model's error tells of both.
    return sys.stdin.buffer.read().decode("utf-8", errors="surrogateescape").removeprefix("\ufeff")
