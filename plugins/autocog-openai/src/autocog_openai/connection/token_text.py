"""Whether the tokens that a server returns are those of the text that it returns.

The tokens may include the model's thoughts, which are not in the text. Some may be missing. Their
surfaces may be changed too: a token decoded alone can lose the space at its start.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

#: Servers write this for bytes that are not a whole character.
REPLACEMENT = "\ufffd"
REPLACEMENT_BYTES = REPLACEMENT.encode("utf-8")
#: Others write this. A token may also look like this.
_ESCAPED_BYTES = re.compile(rb"(bytes:)?(\\x[0-9a-f]{2})+", re.IGNORECASE)
#: The usual forms of special tokens.
_SPECIAL_TOKEN = re.compile(rb"<[^<>\s]{1,80}>|\[[A-Z_/]{1,40}\]")
_ESCAPES = (b"\\x", b"bytes:")


def is_escaped(raw: bytes) -> bool:
    """Whether a token may be the name of bytes that are not a whole character."""
    # The comparison is fast, and almost no token passes it.
    return raw.startswith(_ESCAPES) and _ESCAPED_BYTES.fullmatch(raw) is not None


def spells_text(raws: Sequence[bytes], text: str) -> bool:
    """Whether tokens, one after the other, begin with the text.

    They may go on, with a stop string or EOS. Incomplete characters are not compared.

    :param raws: the bytes of the tokens.
    """
    return _begins(_decode(raws), text) or _begins(_decode(_without_special(raws)), text)


def covers_text(raws: Sequence[bytes], text: str, stops: Sequence[str] = ()) -> bool:
    """Whether tokens are those of the text: none is missing, and none is of something else.

    Spaces are not compared. After the text, there may be special tokens, and a stop string with
    the rest of the token that completes it.

    :param raws: the bytes of the tokens.
    :param stops: the stop strings of the request.
    """
    return any(_is_text(tokens, text, stops) for tokens in (raws, _without_special(raws)))


def begins_text(raw: bytes, text: str) -> bool:
    """Whether a text may begin with a token. Spaces are not compared."""
    surface = _bare(_decode([raw]))
    return surface != "" and _begins(_bare(text), surface)


def count_text_tokens(raws: Sequence[bytes], text: str) -> int:
    """Return how many tokens at the end are those of the text; 0 if this is unclear.

    Thoughts of the model may be before them.
    """
    length = len(text.encode("utf-8"))
    for start in reversed(range(len(raws))):
        tail = raws[start:]
        if sum(map(len, tail)) >= length:
            return len(tail) if text and spells_text(tail, text) else 0
    return 0


def _without_special(raws: Sequence[bytes]) -> list[bytes]:
    """Return the tokens without those whose names are not in a text, as of special tokens."""
    return [raw for raw in raws if not _SPECIAL_TOKEN.fullmatch(raw)]


def _decode(raws: Sequence[bytes]) -> str:
    known = (REPLACEMENT_BYTES if is_escaped(raw) else raw for raw in raws)
    return b"".join(known).decode("utf-8", errors="replace")


def _is_text(raws: Sequence[bytes], text: str, stops: Sequence[str]) -> bool:
    surfaces, bare = _bare(_decode(raws)), _bare(text)
    if REPLACEMENT in surfaces or REPLACEMENT in bare:
        surfaces, bare = _ascii(surfaces), _ascii(bare)
    if not surfaces.startswith(bare):
        return False
    rest = surfaces[len(bare) :]
    if not rest:
        return True
    last = _bare(_decode(raws[-1:]))
    return any(
        # Of a stop string of spaces, only what follows it in its token is left.
        rest.startswith(stop) if stop else last.endswith(rest)
        for stop in map(_bare, stops)
    )


def _bare(text: str) -> str:
    return "".join(text.split())


def _begins(surfaces: str, text: str) -> bool:
    if REPLACEMENT in surfaces or REPLACEMENT in text:
        surfaces, text = _ascii(surfaces), _ascii(text)
    return surfaces.startswith(text)


def _ascii(text: str) -> str:
    return "".join(character for character in text if character < "\x80")
