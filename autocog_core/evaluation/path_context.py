"""What a path has said so far, as one model sees it: ids that are settled, and text that is not.

Fixed text stays *pending* until a Choose or Complete settles it, for a choice may re-spell its end.
Ids that were decided or settled are never tokenized again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from autocog_core.hooks.client import BackendClient
from autocog_core.types.prompt import Prompt, TextPiece, TokenPiece


@dataclass(frozen=True, slots=True)
class PendingText:
    """Text without tokens as yet.

    :ivar node: the tree's node that its tokens go to; -1 for text that is no text action's.
    :ivar evaluate: whether its tokens are to be scored.
    """

    pieces: tuple[TextPiece, ...]
    node: int = -1
    evaluate: bool = False

    @property
    def text(self) -> str:
        """All of it as text."""
        return "".join(piece.text for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class Context:
    """What comes before the next action on a path, for one model.

    :ivar ids: settled ids, BOS included. `pending`: the texts after them.
    :ivar said: all of it as text, for a model that is asked in text; None for others.
    """

    ids: tuple[int, ...] = ()
    pending: tuple[PendingText, ...] = ()
    said: tuple[TextPiece, ...] | None = None

    def prompt(self) -> Prompt:
        """What the next action continues."""
        ids = (TokenPiece(self.ids),) if self.ids else ()
        return Prompt((*ids, *(piece for one in self.pending for piece in one.pieces)))

    def plus(self, *texts: PendingText) -> Context:
        """With more text after it."""
        # A text action's node waits for its tokens, though there be none.
        more = [text for text in texts if text.node >= 0 or text.text]
        if not more:
            return self
        said = self.said
        if said is not None:
            said = (*said, *(piece for text in more for piece in text.pieces))
        return Context(self.ids, (*self.pending, *more), said)

    def followed_by(self, text: str, after: Context) -> Context:
        """`after`, for a model that is asked in text: it sees `text` after all of this."""
        return replace(after, said=(*(self.said or ()), TextPiece(text)))


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """The tokens of a pending text, once they are settled.

    :ivar start: where they begin in the ids that settled them.
    """

    node: int
    tokens: tuple[int, ...]
    start: int
    evaluate: bool


def settle(client: BackendClient, context: Context, base: Sequence[int]) -> list[TokenizedText]:
    """Which of the ids in `base` each pending text has: a token belongs to where it begins."""
    info = client.info
    start = len(context.ids)
    if not start and info.adds_bos and base[:1] == (info.bos,):
        start = 1
    surfaces = {token.id: len(token.text.encode("utf-8")) for token in info.special_tokens}
    found = []
    offset = 0
    end = 0
    place = start
    for number, one in enumerate(context.pending):
        end += len(one.text.encode("utf-8"))
        first = place
        last = number == len(context.pending) - 1
        while place < len(base) and (last or offset < end):
            token = base[place]
            offset += surfaces.get(token) or client.token_size(token)
            place += 1
        found.append(TokenizedText(one.node, tuple(base[first:place]), first, one.evaluate))
    return found


def split_tokens(client: BackendClient, tokens: Sequence[int], size: int) -> tuple[int, bytes]:
    """How many of `tokens` lie within their first `size` bytes, and what bytes remain of these.

    Where the remaining bytes begin inside a character, they begin with the token that it begins in.
    """
    kept = used = 0
    while kept < len(tokens):
        more = client.token_size(tokens[kept])
        if used + more > size:
            break
        used += more
        kept += 1
    rest = client.detokenize(tokens)[used:size]
    while rest and kept and rest[0] & 0xC0 == 0x80:
        kept -= 1
        used -= client.token_size(tokens[kept])
        rest = client.detokenize(tokens)[used:size]
    return kept, rest
