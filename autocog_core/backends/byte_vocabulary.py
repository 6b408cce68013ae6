"""A vocabulary of bytes, optionally with merged tokens, and its tokenizer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from autocog_core.types.backend_info import SpecialToken

VocabularyKind = Literal["bytes", "merges"]

#: Merged tokens in the order in which merges apply; each consists of two earlier tokens or bytes.
#: They reproduce properties of real tokenizers: a blank merges with the next word (token healing),
#: and stop strings begin or end inside tokens (".\n").
MERGES = (
    "th er in an on re at en he or es it is al ar le st nd ou ing and the ion ent "
    "ab ba aba abab cd 10 00 100 .␣ .␊ ␊␊ ,␣ :␣ ␣a ␣t ␣P ␣A ␣B ␣the ␣and ␣an "
    "␣Par ␣Paris Par Paris"
)

BOS_TEXT = "<|bos|>"
EOS_TEXT = "<|eos|>"
END_TEXT = "<|end|>"


class ByteVocabulary:
    """Bytes (ids 0 to 255), merged tokens (kind "merges"), BOS, EOS and one more special token.

    :param kind: "bytes" or "merges".
    :param with_bos: whether there is a BOS token.
    :ivar surfaces: the bytes of each token.
    :ivar merges: (left id, right id, merged id), in the order in which merges apply.
    :ivar special_tokens: BOS, EOS and one without a meaning.
    :ivar bos: id of BOS; None if there is none.
    :ivar eos: id of EOS.
    """

    def __init__(self, kind: VocabularyKind = "bytes", *, with_bos: bool = True) -> None:
        self.surfaces: list[bytes] = [bytes([value]) for value in range(256)]
        self.merges: list[tuple[int, int, int]] = []
        if kind == "merges":
            for word in MERGES.replace("␣", "\x01").replace("␊", "\x02").split():
                self._add_merge(word.replace("\x01", " ").replace("\x02", "\n").encode("ascii"))
        specials = [BOS_TEXT] if with_bos else []
        first = len(self.surfaces)
        self.special_tokens = tuple(
            SpecialToken(text, first + i) for i, text in enumerate([*specials, EOS_TEXT, END_TEXT])
        )
        ids = {token.text: token.id for token in self.special_tokens}
        self.bos = ids.get(BOS_TEXT)
        self.eos = ids[EOS_TEXT]
        # Special tokens have no bytes.
        self.surfaces += [b""] * len(self.special_tokens)
        self._special_ids = ids
        self._special_pattern = re.compile("(" + "|".join(map(re.escape, ids)) + ")")

    @property
    def size(self) -> int:
        """Number of tokens."""
        return len(self.surfaces)

    def tokenize(self, text: str, parse_special: bool) -> list[int]:
        """Return the ids of a text.

        :param text: the text.
        :param parse_special: whether texts of special tokens become their ids.
        """
        if not parse_special:
            return self._tokenize_plain(text)
        tokens: list[int] = []
        for part in self._special_pattern.split(text):
            special = self._special_ids.get(part)
            tokens += self._tokenize_plain(part) if special is None else [special]
        return tokens

    def detokenize(self, tokens: Sequence[int]) -> bytes:
        """Return the bytes of tokens."""
        return b"".join([self.surfaces[token] for token in tokens])

    def _tokenize_plain(self, text: str) -> list[int]:
        raw = text.encode("utf-8")
        if not self.merges:
            return list(raw)
        # One character for each id, so that `str.replace` applies a merge everywhere.
        ids = raw.decode("latin-1")
        for left, right, merged in self.merges:
            ids = ids.replace(chr(left) + chr(right), chr(merged))
        return [ord(character) for character in ids]

    def _add_merge(self, surface: bytes) -> None:
        """Add a token that consists of two earlier ones, the first as long as possible."""
        ids = {surface: id_ for id_, surface in enumerate(self.surfaces)}
        for split in range(len(surface) - 1, 0, -1):
            left, right = ids.get(surface[:split]), ids.get(surface[split:])
            if left is not None and right is not None:
                self.merges.append((left, right, len(self.surfaces)))
                self.surfaces.append(surface)
                return
        raise ValueError(f"{surface!r} does not consist of two earlier tokens")
