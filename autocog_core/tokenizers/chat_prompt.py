"""From a chat template to a prompt: trusted template pieces around untrusted messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from autocog_core.errors import InputError
from autocog_core.types.prompt import Message, Prompt, TextPiece, check_messages, join_text

#: Attempts to render the messages twice within one tick of a clock.
MAX_RENDERINGS = 5
#: Renders messages with a chat template, as one string.
RenderTemplate = Callable[[list[dict[str, str]]], str]


def stopped_clock() -> Callable[[str], str]:
    """Return the function `strftime_now` of chat templates, for all renderings of one prompt.

    A prompt is rendered twice. At two instants, the template's own text would differ.
    """
    return datetime.now().strftime


def render_chat_prompt(
    messages: Sequence[Message], render: RenderTemplate, special: Sequence[str]
) -> Prompt:
    """Render `messages` and separate the template's own text from the messages' text.

    The template is rendered with placeholders, and the placeholders are then filled. The result is
    compared with the rendered messages, because a template may strip or rewrite them.

    :param messages: the chat so far.
    :param render: renders messages with the model's chat template, each time at the same instant
        (`stopped_clock`).
    :param special: the surfaces of the tokenizer's special tokens.
    :raises InputError: if a role contains a special token's surface. Also if a message contains
        one, as it is or as rendered, and the template changes its text: then nothing can separate
        the message from the template.
    """
    check_messages(messages)
    plain = [{"role": m["role"], "content": m["content"]} for m in messages]
    for index, message in enumerate(plain):
        if surface := _find_added_token(message["role"], "", special):
            raise InputError(f"has {surface!r} in its role", where=f"message {index}")
    # Private-use characters: no template and no ordinary text has this sequence.
    placeholders = [f"\ue000autocog{index}\ue001" for index in range(len(plain))]
    for _ in range(MAX_RENDERINGS):
        rendered = render(plain)
        outline = render(
            [{"role": m["role"], "content": p} for m, p in zip(plain, placeholders, strict=True)]
        )
        for strip in (False, True):
            contents = [m["content"].strip() if strip else m["content"] for m in plain]
            pieces = _fill_placeholders(outline, placeholders, contents)
            if pieces is not None and join_text(pieces) == rendered:
                return Prompt(tuple(pieces))
        if render(plain) == rendered:
            break
        # It writes the time, and no `stopped_clock` reaches it, as on a server. Try again.
    contents = [
        _find_rendered_content(render, plain, placeholders, outline, index)
        for index in range(len(plain))
    ]
    pieces = _fill_placeholders(outline, placeholders, contents)
    if pieces is not None and join_text(pieces) == rendered:
        return Prompt(tuple(pieces))
    texts = [(f"message {index}", m["content"], "") for index, m in enumerate(plain)]
    # The rendered text too: a template that lowers its texts makes a token of "<|END|>".
    for where, text, template_text in [*texts, ("messages", rendered, outline)]:
        if surface := _find_added_token(text, template_text, special):
            raise InputError(
                f"contains {surface!r}, and this model's chat template rewrites message texts, "
                "so that it could not be kept from ending the turn",
                where=where,
                hint="remove it, or build the prompt from pieces",
            )
    return Prompt((TextPiece(rendered, trusted=True),))


def _find_rendered_content(
    render: RenderTemplate,
    plain: Sequence[dict[str, str]],
    placeholders: Sequence[str],
    outline: str,
    index: int,
) -> str:
    """Return the part of one content that a template keeps, such as an answer without thoughts.

    It is the content itself if the template does more than leave out its beginning or end: then
    some of the rendered text may be the template's own.
    """
    content = plain[index]["content"]
    contents = [*placeholders[:index], content, *placeholders[index + 1 :]]
    alone = render(
        [{"role": m["role"], "content": text} for m, text in zip(plain, contents, strict=True)]
    )
    before, _, after = outline.partition(placeholders[index])
    is_filled = len(alone) >= len(before) + len(after)
    if is_filled and alone.startswith(before) and alone.endswith(after):
        rendered = alone[len(before) : len(alone) - len(after)]
        return rendered if rendered in content else content
    return content


def _find_added_token(text: str, template_text: str, special: Sequence[str]) -> str:
    """Return a special token's surface that `text` has more often than `template_text`, or ""."""
    counts = ((surface, text.count(surface), template_text.count(surface)) for surface in special)
    return next((surface for surface, count, own in counts if surface and count > own), "")


def _fill_placeholders(
    outline: str, placeholders: Sequence[str], contents: Sequence[str]
) -> list[TextPiece] | None:
    """Return the outline as trusted pieces around the contents; None if a placeholder is lost."""
    pieces: list[TextPiece] = []
    after = outline
    for placeholder, content in zip(placeholders, contents, strict=True):
        before, separator, after = after.partition(placeholder)
        if not separator or placeholder in after:
            return None
        pieces += [TextPiece(before, trusted=True), TextPiece(content)]
    pieces.append(TextPiece(after, trusted=True))
    return [piece for piece in pieces if piece.text]
