"""Arguments of the command line, converted to what the API takes."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autocog_core.cli.options import Chat, System, User
from autocog_core.errors import InputError
from autocog_core.files import decode_text

#: Files that hold data.
DATA_SUFFIXES = (".json", ".yaml", ".yml")
_TOML_TYPES = (bool, int, float, str, list, dict)


@dataclass(frozen=True, kw_only=True)
class ChatOptions:
    """The options that make a chat of a prompt.

    :ivar chat: the prompt is a user message.
    :ivar system: a system message before it; implies `chat`.
    :ivar user: the user message, in place of the prompt; implies `chat`.
    """

    chat: Chat = False
    system: System = None
    user: User = None

    @property
    def is_chat(self) -> bool:
        """Whether the prompt is a user message."""
        return self.chat or self.system is not None or self.user is not None

    def read_prompt(self, argument: str | None, command: str, name: str = "PROMPT") -> str:
        """Return the prompt: the user message, the argument, or standard input for -.

        :param argument: the argument of the command line.
        :param command: the command, for errors.
        :param name: its name, for errors.
        :raises InputError: unless exactly one of the argument and `--user` is given.
        """
        if self.user is not None:
            if argument is not None:
                raise InputError(
                    f"cannot be combined with {name}: it is the prompt",
                    where="--user",
                    hint="leave one out",
                )
            return self.user
        if argument is None:
            # A text such as "-5 + 3 =" is taken for options.
            usage = f"autocog {command} [OPTIONS] -- {name}"
            hint = f"give it, or --user TEXT; one that begins with - goes after --: `{usage}`"
            raise InputError("is missing", where=name, hint=hint)
        return read_prompt(argument)

    def require_chat(self, template_arguments: Sequence[str] | None) -> None:
        """Refuse arguments of a chat template for a prompt that is no chat."""
        if template_arguments and not self.is_chat:
            raise InputError(
                "is for chats", where="--template-argument", hint="add --chat, --system or --user"
            )

    def messages(self, prompt: str) -> list[dict[str, str]]:
        """Return the conversation in which `prompt` is the user message."""
        messages = [{"role": "user", "content": prompt}]
        if self.system is not None:
            messages.insert(0, {"role": "system", "content": self.system})
        return messages

    def prompt_arguments(self, prompt: str) -> dict[str, Any]:
        """Return the prompt as a keyword argument of the methods of `Model`."""
        return {"messages": self.messages(prompt)} if self.is_chat else {"prompt": prompt}


def read_prompt(argument: str) -> str:
    """Return the argument, or for - the text of standard input without its last newline."""
    return _read_stdin().removesuffix("\n").removesuffix("\r") if argument == "-" else argument


def file_of(argument: str) -> Path | None:
    """Return the file of an argument `@FILE`; None for others, of which `@@` begins with one @."""
    is_file = argument.startswith("@") and not argument.startswith("@@")
    return Path(argument[1:]) if is_file else None


def read_lines(path: Path) -> list[str]:
    """Return the lines of a file that are not empty; - is standard input.

    :raises InputError: if the file cannot be read.
    """
    text = read_text_file(path)
    # Not splitlines(), which also splits at characters that may be part of a choice.
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return [line for line in lines if line]


def read_text_file(path: Path) -> str:
    """Return the text of a UTF-8 file, without a byte order mark; - is standard input.

    :raises InputError: if the file cannot be read, or is not UTF-8.
    """
    if str(path) == "-":
        return _read_stdin()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
    return decode_text(content, str(path))


def split_pairs(option: str, pairs: Sequence[str], form: str) -> Iterator[tuple[str, str]]:
    """Yield the two sides of `NAME=VALUE` pairs.

    :param option: the option of the command line, for errors.
    :param form: how a pair is written, for errors.
    :raises InputError: if a pair has no = or no name, or a name is repeated.
    """
    names = set()
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise InputError(f"expected {form}, got {pair!r}", where=option)
        if name in names:
            raise InputError(f'"{name}" is given twice', where=option, hint="leave one out")
        names.add(name)
        yield name, value


def parse_backend_options(pairs: Sequence[str], option: str = "--option") -> dict[str, Any]:
    """Return the options of a backend from `KEY=VALUE` pairs.

    :param pairs: the pairs.
    :param option: the option of the command line, for errors.
    :raises InputError: for a malformed pair, or a repeated key.
    """
    pairs_by_key = split_pairs(option, pairs, "KEY=VALUE")
    return {key: parse_toml_value(value) for key, value in pairs_by_key}


def parse_toml_value(text: str) -> Any:
    """Return `text` as a TOML value (`3`, `true`, `"3"`, `[1, 2]`), or `text` if it is none."""
    try:
        document = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    value = document.pop("value")
    # A text with a newline may parse as more keys. No option is a date.
    return text if document or not isinstance(value, _TOML_TYPES) else value


def has_escaped_newline(text: str) -> bool:
    r"""Return whether `text` has a backslash and an n, where users mostly mean a newline."""
    return "\\n" in text


def _read_stdin() -> str:
    # Invalid UTF-8 becomes surrogates, as in arguments: the model reports both in the same way.
    return sys.stdin.buffer.read().decode("utf-8", errors="surrogateescape").removeprefix("\ufeff")
