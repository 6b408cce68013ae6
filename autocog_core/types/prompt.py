"""Prompts, made of text and token ids, and chat messages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from autocog_core.errors import InputError

#: A chat message, such as `{"role": "user", "content": "Hello"}`.
Message = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TextPiece:
    """Text in a prompt.

    :ivar text: the text.
    :ivar trusted: whether special tokens in it (such as `<|im_end|>`) are parsed.
    """

    text: str
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class TokenPiece:
    """Token ids in a prompt, which core never changes.

    :ivar tokens: the ids.
    """

    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Prompt:
    """The input that a model continues.

    :ivar pieces: texts and token ids, in order.
    """

    pieces: tuple[TextPiece | TokenPiece, ...]

    @classmethod
    def of(cls, source: PromptLike) -> Prompt:
        """Return a prompt.

        :param source: a string (untrusted text), token ids, pieces, or a prompt.
        :raises InputError: if `source` is none of these.
        """
        if isinstance(source, Prompt):
            return source
        if isinstance(source, str):
            return cls((TextPiece(source),))
        if isinstance(source, TextPiece | TokenPiece):
            return cls((source,))
        if isinstance(source, bytes | bytearray):
            raise InputError(
                "got bytes", where="prompt", hint="decode them first: text is str, ids are ints"
            )
        if isinstance(source, Iterable):
            items = list(source)
            pieces = [item for item in items if isinstance(item, TextPiece | TokenPiece)]
            if pieces and len(pieces) == len(items):
                return cls(tuple(pieces))
            # Also NumPy's integers.
            ids = [int(item) for item in items if isinstance(item, Integral)]
            if len(ids) == len(items):
                return cls((TokenPiece(tuple(ids)),))
        raise InputError(
            f"got {type(source).__name__}",
            where="prompt",
            hint="give a string, a list of token ids, or pieces of both",
        )


def join_text(pieces: Iterable[TextPiece | TokenPiece]) -> str:
    """Return the joined text of the text pieces; token pieces are left out."""
    return "".join(piece.text for piece in pieces if isinstance(piece, TextPiece))


#: What `Prompt.of` converts: text, token ids, pieces, or a prompt.
PromptLike = (
    str | Prompt | TextPiece | TokenPiece | Sequence[int] | Sequence[TextPiece | TokenPiece]
)


def check_messages(messages: Sequence[Message]) -> None:
    """Reject anything but a list of messages with a role and a content.

    :param messages: one mapping for each message.
    :raises InputError: names the message and what it lacks.
    """
    listed = isinstance(messages, Sequence) and not isinstance(messages, str | Mapping)
    if not listed or not messages:
        raise InputError(
            "expected a list of messages",
            where="messages",
            hint='for example [{"role": "user", "content": "Hello"}]',
        )
    for index, message in enumerate(messages):
        where = f"message {index}"
        for key in ("role", "content"):
            if not isinstance(message, Mapping) or not isinstance(message.get(key), str):
                raise InputError(f'has no text under "{key}"', where=where)
        check_text(message["content"], where)
        unknown = sorted(set(message) - {"role", "content"})
        if unknown:
            raise InputError(
                "has " + ", ".join(map(repr, unknown)),
                where=where,
                hint="give role and content only",
            )


#: Variables of chat templates that core or the engine sets.
_OWN_VARIABLES = frozenset({"messages", "add_generation_prompt", "continue_final_message"})


def check_template_arguments(arguments: Mapping[str, Any]) -> None:
    """Reject anything but variables of a chat template: plain data by name.

    :param arguments: the variables, such as `{"enable_thinking": False}`.
    :raises InputError: names the variable that is wrong.
    """
    where = "template_arguments"
    if not isinstance(arguments, Mapping):
        raise InputError(
            f"got {type(arguments).__name__}",
            where=where,
            hint='give a mapping, for example {"enable_thinking": False}',
        )
    for name, value in arguments.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise InputError(
                f"{name!r} is not the name of a variable",
                where=where,
                hint='for example {"enable_thinking": False}',
            )
        if name in _OWN_VARIABLES:
            raise InputError(f'"{name}" is set by autocog', where=where, hint="leave it out")
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(
                f'"{name}" is not plain data: {error}',
                where=where,
                hint="give texts, numbers, booleans, lists and mappings",
            ) from error


def check_text(text: str, where: str) -> None:
    """Reject anything but text that UTF-8 can encode, which excludes lone surrogates.

    :param text: the value to check.
    :param where: the place that the error names.
    :raises InputError: names the position of the first lone surrogate.
    """
    if not isinstance(text, str):
        raise InputError(f"got {type(text).__name__}", where=where, hint="give a string")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"character {error.start} is a lone surrogate (U+{ord(text[error.start]):04X}): "
            "the text is not valid Unicode",
            where=where,
            hint="was it read with the wrong encoding?",
        ) from error
