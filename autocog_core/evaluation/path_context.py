"""What one model has seen of a path: ids, and pending text after them.

Text stays pending until a Choose or Complete determines its tokens, because a choice may change
the tokens at its end. Ids never change again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from autocog_core.hooks.client import BackendClient
from autocog_core.types.prompt import Prompt, TextPiece, TokenPiece, join_text


@dataclass(frozen=True, slots=True)
class PendingText:
    """Text that has no tokens yet.

    :ivar pieces: its pieces.
    :ivar node: index of its node in the tree; -1 if it is not the text of a Text action.
    :ivar evaluate: whether its tokens are to be scored.
    :ivar constant_tail: its end that is the same for all inputs; None if all of it is. Text that a
        model decided has none.
    """

    pieces: tuple[TextPiece, ...]
    node: int = -1
    evaluate: bool = False
    constant_tail: str | None = ""

    @property
    def text(self) -> str:
        """The texts of the pieces, concatenated."""
        return join_text(self.pieces)


@dataclass(frozen=True, slots=True)
class PathContext:
    """What one model has seen before the next action on a path.

    :ivar ids: the ids so far, BOS included.
    :ivar pending_texts: the texts after them.
    :ivar text: all of it as text, for the strategy "text"; None for "token_tree".
    :ivar node: index of the node in the tree with whose kept tokens `ids` end; -1 if there is none.
    """

    ids: tuple[int, ...] = ()
    pending_texts: tuple[PendingText, ...] = ()
    text: tuple[TextPiece | TokenPiece, ...] | None = None
    node: int = -1

    @property
    def is_empty(self) -> bool:
        """Whether nothing stands before the next action."""
        return not self.ids and not any(text.text for text in self.pending_texts)

    def prompt(self) -> Prompt:
        """Return the prompt of the next action."""
        ids = (TokenPiece(self.ids),) if self.ids else ()
        return Prompt((*ids, *(piece for text in self.pending_texts for piece in text.pieces)))

    @property
    def has_nodes(self) -> bool:
        """Whether a pending text is that of a node in the tree."""
        return any(text.node >= 0 for text in self.pending_texts)

    def constant_tail(self) -> tuple[TextPiece, ...]:
        """Return the end of the prompt that is the same for all inputs and decided texts."""
        tail: tuple[TextPiece, ...] = ()
        for text in reversed(self.pending_texts):
            if text.text and text.constant_tail is not None:
                return (*last_characters(text.pieces, len(text.constant_tail)), *tail)
            tail = (*text.pieces, *tail)
        return tail

    def with_texts(self, *texts: PendingText) -> PathContext:
        """Return this context with texts after it."""
        # An empty text of a Text action stays: its node waits for its (no) tokens.
        texts = tuple(text for text in texts if text.node >= 0 or text.text)
        if not texts:
            return self
        as_text = self.text
        if as_text is not None:
            as_text = (*as_text, *(piece for text in texts for piece in text.pieces))
        return PathContext(self.ids, (*self.pending_texts, *texts), as_text, self.node)

    def with_bytes(self, raw: bytes) -> PathContext:
        """Return this context with the text of some bytes after it."""
        if not raw:
            return self
        return self.with_texts(PendingText((TextPiece(raw.decode("utf-8", errors="replace")),)))

    def with_text_then(self, text: str, after: PathContext) -> PathContext:
        """Return `after`, seen as text: the text of this context, and `text`."""
        return replace(after, text=(*(self.text or ()), TextPiece(text)))


def last_characters(pieces: Sequence[TextPiece], count: int) -> tuple[TextPiece, ...]:
    """Return the last characters of pieces, as pieces that are trusted as before."""
    kept: list[TextPiece] = []
    for piece in reversed(pieces):
        if count <= 0:
            break
        kept.append(TextPiece(piece.text[-count:], piece.trusted))
        count -= len(piece.text)
    return tuple(reversed(kept))


def split_at_byte(client: BackendClient, tokens: Sequence[int], size: int) -> tuple[int, bytes]:
    """Return how many tokens lie within the first `size` bytes, and the remaining bytes of these.

    If the remaining bytes begin inside a character, they begin at an earlier token, in which the
    character begins.
    """
    count = used = 0
    while count < len(tokens):
        token_bytes = client.token_size(tokens[count])
        if used + token_bytes > size:
            break
        used += token_bytes
        count += 1
    raw = client.detokenize(tokens)
    remaining = raw[used:size]
    # 10xxxxxx: a byte inside a UTF-8 character.
    while remaining and count and remaining[0] & 0xC0 == 0x80:
        count -= 1
        used -= client.token_size(tokens[count])
        remaining = raw[used:size]
    return count, remaining
