"""What users hand over: prompts of text and token pieces, and messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autocog_core.errors import InputError

Message = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TextPiece:
    """Text in a prompt; only where `trusted` are its special tokens (`<|im_end|>`) parsed."""

    text: str
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class TokenPiece:
    """Token ids in a prompt, used verbatim and never tokenized again."""

    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A sequence of pieces, text or token ids."""

    pieces: tuple[TextPiece | TokenPiece, ...]

    @classmethod
    def of(cls, source: PromptLike) -> Prompt:
        """A prompt from what users write: a string, token ids, pieces, or a prompt.

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
            ids = [int(item) for item in items if isinstance(item, int | np.integer)]
            if len(ids) == len(items):
                return cls((TokenPiece(tuple(ids)),))
        raise InputError(
            f"got {type(source).__name__}",
            where="prompt",
            hint="give a string, a list of token ids, or pieces of both",
        )


PromptLike = (
    str | Prompt | TextPiece | TokenPiece | Sequence[int] | Sequence[TextPiece | TokenPiece]
)
