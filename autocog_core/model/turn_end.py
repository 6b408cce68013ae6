"""The token that ends a turn of a chat template: if it is no EOS, answers go on after their end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autocog_core.model.model import Model
from autocog_core.types.backend_info import SpecialToken
from autocog_core.types.prompt import Message, TextPiece, TokenPiece


def find_turn_end(model: Model, text: str) -> SpecialToken | None:
    """Return the special token after a turn of the assistant; None if there is none.

    :param text: what the turns say: a text that the vocabulary can express.
    :raises CapabilityError: if the model has no chat template.
    """
    # Some servers leave the last turn open, for the model to continue it.
    messages: list[Message] = [
        {"role": role, "content": text} for role in ("user", "assistant", "user")
    ]
    pieces = model.chat_prompt(messages).pieces
    contents = [
        index
        for index, piece in enumerate(pieces)
        if isinstance(piece, TextPiece) and not piece.trusted and piece.text
    ]
    if len(contents) != len(messages):
        return None
    return next(_special_tokens(model, pieces[contents[1] + 1 : contents[2]]), None)


def explain_undeclared_turn_end(model: Model, end: SpecialToken) -> str:
    """Return what is wrong if the token that ends turns is no EOS; empty if it is one."""
    eos = model.info.eos
    if end.id in eos:
        return ""
    declared = f"info.eos has {list(eos)}" if eos else "no EOS is declared"
    return (
        f"the chat template ends turns with {end.text} (id {end.id}), but {declared}: completions "
        "of chats go on after the turn"
    )


def _special_tokens(
    model: Model, pieces: Sequence[TextPiece | TokenPiece]
) -> Iterator[SpecialToken]:
    """Yield the special tokens in pieces of a prompt."""
    tokens_by_id = {special.id: special for special in model.info.special_tokens}
    for piece in pieces:
        ids = (
            model.tokenize(piece.text, at_start=False, parse_special=piece.trusted)
            if isinstance(piece, TextPiece)
            else piece.tokens
        )
        yield from (tokens_by_id[token] for token in ids if token in tokens_by_id)
