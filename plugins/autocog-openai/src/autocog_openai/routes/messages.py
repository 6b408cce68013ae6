"""Messages in a prompt, for servers that take messages and render them themselves.

Such a prompt has a mark before and after each message, in trusted pieces. Text outside of messages
is the user's if it comes first. After a message it is the beginning of the assistant's answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from autocog_core import Message, Prompt, TextPiece, TokenPiece
from autocog_core.toolkit import check_messages

#: Private-use characters, which ordinary text does not contain. Only trusted pieces may be marks.
_BEGIN, _ROLE_END, _END = "\ue000", "\ue001", "\ue002"
#: Before the messages: the arguments of the server's chat template, as JSON.
_ARGUMENTS = "\ue003"


def prompt_of(
    messages: Sequence[Message],
    add_generation_prompt: bool,
    template_arguments: Mapping[str, Any] | None = None,
) -> Prompt:
    """Return a prompt that contains the messages.

    :param add_generation_prompt: whether the assistant answers; else the last message stays open.
    :param template_arguments: variables of the server's chat template.
    """
    check_messages(messages)
    pieces: list[TextPiece] = []
    if template_arguments:
        content = json.dumps(dict(template_arguments))
        pieces.append(TextPiece(f"{_ARGUMENTS}{content}{_END}", trusted=True))
    for index, message in enumerate(messages):
        pieces.append(TextPiece(f"{_BEGIN}{message['role']}{_ROLE_END}", trusted=True))
        pieces.append(TextPiece(message["content"]))
        if add_generation_prompt or index < len(messages) - 1:
            pieces.append(TextPiece(_END, trusted=True))
    return Prompt(tuple(piece for piece in pieces if piece.text))


def messages_of(
    prompt: Prompt, detokenize: Callable[[Sequence[int]], bytes]
) -> list[dict[str, str]]:
    """Return the messages that a prompt contains.

    :param detokenize: returns the bytes of token ids.
    """
    messages: list[dict[str, str]] = []
    is_open = False
    for piece in prompt.pieces:
        if isinstance(piece, TokenPiece):
            text = detokenize(piece.tokens).decode("utf-8", errors="replace")
        elif piece.trusted and piece.text == _END:
            is_open = False
            continue
        elif _has_arguments(piece):
            continue
        elif piece.trusted and piece.text.startswith(_BEGIN) and _ROLE_END in piece.text:
            # `autocog serve` adds the start of the message to the piece before it.
            role, _, content = piece.text[1:].partition(_ROLE_END)
            messages.append({"role": role, "content": content})
            is_open = True
            continue
        else:
            text = piece.text
        if not is_open:
            messages.append({"role": "assistant" if messages else "user", "content": ""})
            is_open = True
        messages[-1]["content"] += text
    return messages


def template_arguments_of(prompt: Prompt) -> dict[str, Any]:
    """Return the variables of the chat template that a prompt contains."""
    for piece in prompt.pieces:
        if isinstance(piece, TextPiece) and _has_arguments(piece):
            arguments: dict[str, Any] = json.loads(piece.text[1:-1])
            return arguments
    return {}


def begun_answer(messages: Sequence[Mapping[str, str]]) -> str:
    """Return the beginning of the answer that the server is to continue; empty if there is none."""
    last = messages[-1] if messages else {}
    return last["content"] if last.get("role") == "assistant" else ""


def without_begun_answer(text: str, raws: Sequence[bytes], begun: str) -> str:
    """Return what a server wrote: llama-server repeats the beginning of the answer before it.

    :param text: the text of the server's message.
    :param raws: the bytes of the tokens that it wrote; without any, the text stays as it is.
    :param begun: the beginning of the answer.
    """
    if not begun or not raws or not text.startswith(begun):
        return text
    written, whole = b"".join(raws), text.encode("utf-8")
    # The text may lack a stop string, the tokens the end of a character.
    is_written = bool(written) and (written.startswith(whole) or whole.startswith(written))
    return text if is_written else text[len(begun) :]


def _has_arguments(piece: TextPiece) -> bool:
    return piece.trusted and piece.text.startswith(_ARGUMENTS) and piece.text.endswith(_END)


def has_messages(prompt: Prompt) -> bool:
    """Whether a prompt was made by `prompt_of`."""
    return any(
        isinstance(piece, TextPiece) and piece.trusted and piece.text[:1] in (_BEGIN, _END)
        for piece in prompt.pieces
    )
