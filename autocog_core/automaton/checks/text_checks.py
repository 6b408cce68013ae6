"""Checks of single texts."""

from __future__ import annotations

from collections.abc import Iterator


def check_text(name: str, text: object) -> Iterator[str]:
    """Yield a message for a text that has no UTF-8 form, which tokenizers need.

    :param name: the key of the text, for the message.
    :param text: the text.
    """
    if not isinstance(text, str):
        yield f"{name} is of type {type(text).__name__}: give text"
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        yield (
            f"{name} has a lone surrogate at character {error.start}, which is not valid "
            "Unicode: remove it"
        )
