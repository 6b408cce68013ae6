"""Turns of a chat in a prompt, for servers that take messages and put them together themselves.

A prompt from messages holds a mark before and after each turn, in trusted pieces, from which the
messages come back. Text outside of turns is a user's, if none came before; after a turn it is what
the assistant has said already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autocog_core import Message, Prompt, TextPiece, TokenPiece
from autocog_core.toolkit import check_messages

#: Private-use characters: no ordinary text has them, and only trusted pieces are looked into.
_BEGIN, _NAMED, _END = "\ue000", "\ue001", "\ue002"


def prompt_of(messages: Sequence[Message], add_generation_prompt: bool) -> Prompt:
    """A prompt that holds the turns; the last one stays open unless an answer is to follow."""
    check_messages(messages)
    pieces: list[TextPiece] = []
    for number, message in enumerate(messages):
        pieces.append(TextPiece(f"{_BEGIN}{message['role']}{_NAMED}", trusted=True))
        pieces.append(TextPiece(message["content"]))
        if add_generation_prompt or number < len(messages) - 1:
            pieces.append(TextPiece(_END, trusted=True))
    return Prompt(tuple(piece for piece in pieces if piece.text))


def messages_of(
    prompt: Prompt, detokenize: Callable[[Sequence[int]], bytes]
) -> list[dict[str, str]]:
    """The messages that a prompt stands for."""
    found: list[dict[str, str]] = []
    open_ = False
    for piece in prompt.pieces:
        if isinstance(piece, TokenPiece):
            text = detokenize(piece.tokens).decode("utf-8", errors="replace")
        elif piece.trusted and piece.text == _END:
            open_ = False
            continue
        elif piece.trusted and piece.text.startswith(_BEGIN) and piece.text.endswith(_NAMED):
            found.append({"role": piece.text[1:-1], "content": ""})
            open_ = True
            continue
        else:
            text = piece.text
        if not open_:
            found.append({"role": "assistant" if found else "user", "content": ""})
            open_ = True
        found[-1]["content"] += text
    return found


def without_marks(prompt: Prompt) -> bool:
    """Whether a prompt is plain text, of no turns."""
    return not any(
        isinstance(piece, TextPiece) and piece.trusted and piece.text[:1] in (_BEGIN, _END)
        for piece in prompt.pieces
    )
