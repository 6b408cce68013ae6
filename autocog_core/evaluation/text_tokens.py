"""Which tokens belong to which text, if several texts are tokenized together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autocog_core.evaluation.path_context import PathContext
from autocog_core.hooks.client import BackendClient
from autocog_core.types.backend_info import SpecialToken

_WHITESPACE = b" \t\n\r\v\f"


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenizedText:
    """The tokens of a text that was pending.

    :ivar node: index of its node in the tree; -1 if it has none.
    :ivar tokens: the tokens that begin in it.
    :ivar start: index of the first of them in the ids before the action.
    :ivar evaluate: whether they are to be scored.
    """

    node: int
    tokens: tuple[int, ...]
    start: int
    evaluate: bool


def assign_tokens(
    client: BackendClient, context: PathContext, base: Sequence[int]
) -> list[TokenizedText]:
    """Return the tokens of each pending text. A token belongs to the text in which it begins.

    BOS belongs to none if the model adds it, also if the text begins with its name.

    :param client: the model's client.
    :param context: the ids and the pending texts.
    :param base: the ids of all of them.
    """
    info = client.info
    special_tokens = {token.id: token for token in info.special_tokens}
    texts = [text.text.encode("utf-8") for text in context.pending_texts]
    whole = b"".join(texts)
    position = len(context.ids)
    offset = text_end = 0
    if not position and info.adds_bos and base[:1] == (info.bos,):
        position = 1
        bos = special_tokens.get(base[0])
        if bos is not None and _begins_with_bos(context, bos):
            offset = _end_of_special_token(bos, whole, 0, len(texts[0]))
    tokenized = []
    for index, text in enumerate(context.pending_texts):
        text_end += len(texts[index])
        start = position
        is_last = index == len(texts) - 1
        while position < len(base) and (is_last or offset < text_end):
            token = base[position]
            special = special_tokens.get(token)
            if special is not None and special.text:
                offset = _end_of_special_token(special, whole, offset, text_end)
            else:
                raw = client.token_bytes(token)
                is_at_start = not position or base[position - 1] in special_tokens
                offset += len(raw) - (is_at_start and _has_added_blank(raw, whole, offset))
            position += 1
        tokenized.append(
            TokenizedText(
                node=text.node,
                tokens=tuple(base[start:position]),
                start=start,
                evaluate=text.evaluate,
            )
        )
    return tokenized


def _begins_with_bos(context: PathContext, bos: SpecialToken) -> bool:
    """Return whether the first text names BOS itself, as many chat templates do."""
    pieces = (piece for text in context.pending_texts for piece in text.pieces if piece.text)
    first = next(pieces, None)
    return first is not None and first.trusted and first.text.startswith(bos.text)


def _has_added_blank(raw: bytes, text: bytes, offset: int) -> bool:
    """Return whether a token begins with a blank that is not in its text.

    Some tokenizers add one at the start, and after special tokens.
    """
    return raw[:1] == b" " and not text.startswith(raw, offset) and text.startswith(raw[1:], offset)


def _end_of_special_token(token: SpecialToken, text: bytes, offset: int, text_end: int) -> int:
    """Return where a special token ends in a text, with the whitespace that it removes.

    :param text_end: the end of the text in which it begins.
    """
    name = token.text.encode("utf-8")
    if token.strips_left:
        start = _skip_whitespace(text, offset, text_end)
        offset = start if text.startswith(name, start) else offset
    offset += len(name)
    return _skip_whitespace(text, offset, text_end) if token.strips_right else offset


def _skip_whitespace(text: bytes, offset: int, end: int) -> int:
    """Return the offset of the next byte before `end` that is no whitespace."""
    return offset + len(text[offset:end]) - len(text[offset:end].lstrip(_WHITESPACE))
