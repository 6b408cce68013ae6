"""From a chat template to a prompt: trusted template pieces around untrusted messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autocog_core.errors import InputError
from autocog_core.types.prompt import Message, Prompt, TextPiece, check_messages

#: Renders messages with a chat template, as one string.
Render = Callable[[list[dict[str, str]]], str]


def render_chat_prompt(
    messages: Sequence[Message], render: Render, special: Sequence[str]
) -> Prompt:
    """Render `messages` and tell the template's own text from the messages' text.

    The template is rendered with placeholders, which are then filled; that this gives what
    rendering the messages gives is checked (templates may strip them, or look into them).

    :param special: the surfaces of the tokenizer's special tokens.
    :raises InputError: if a role holds a special token's surface, or a message does, as it is or
        as rendered, while the template changes its text, so that the two cannot be told apart.
    """
    check_messages(messages)
    plain = [{"role": m["role"], "content": m["content"]} for m in messages]
    for number, message in enumerate(plain):
        found = _added(message["role"], "", special)
        if found:
            raise InputError(f"has {found!r} in its role", where=f"message {number}")
    rendered = render(plain)
    # Private-use characters: no template and no ordinary text has this sequence.
    marks = [f"\ue000autocog{number}\ue001" for number in range(len(plain))]
    outline = render(
        [{"role": m["role"], "content": mark} for m, mark in zip(plain, marks, strict=True)]
    )
    for strip in (False, True):
        contents = [m["content"].strip() if strip else m["content"] for m in plain]
        pieces = _fill(outline, marks, contents)
        if pieces is not None and "".join(piece.text for piece in pieces) == rendered:
            return Prompt(tuple(pieces))
    texts = [(f"message {number}", m["content"], "") for number, m in enumerate(plain)]
    # What is rendered as well: a template that lowers its texts makes one of "<|END|>".
    for where, text, own in [*texts, ("messages", rendered, outline)]:
        found = _added(text, own, special)
        if found:
            raise InputError(
                f"contains {found!r}, and this model's chat template rewrites message texts, "
                "so that it could not be kept from ending the turn",
                where=where,
                hint="remove it, or build the prompt from pieces",
            )
    return Prompt((TextPiece(rendered, trusted=True),))


def _added(text: str, own: str, special: Sequence[str]) -> str:
    """A special token's surface that `text` holds more often than the template's `own` text."""
    return next((each for each in special if each and text.count(each) > own.count(each)), "")


def _fill(outline: str, marks: Sequence[str], contents: Sequence[str]) -> list[TextPiece] | None:
    """The outline's text, trusted, with each mark replaced by its content; None if one is lost."""
    pieces: list[TextPiece] = []
    rest = outline
    for mark, content in zip(marks, contents, strict=True):
        before, found, rest = rest.partition(mark)
        if not found or mark in rest:
            return None
        pieces += [TextPiece(before, trusted=True), TextPiece(content)]
    pieces.append(TextPiece(rest, trusted=True))
    return [piece for piece in pieces if piece.text]
