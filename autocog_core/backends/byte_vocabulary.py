"""A vocabulary of single bytes, optionally with merges, and its tokenizer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from autocog_core.types.backend_info import SpecialToken

VocabularyKind = Literal["bytes", "merges"]

#: Merged tokens, each made of two earlier ones (or bytes), in the order in which they apply. Chosen
#: so that what happens with real tokenizers happens here too: a blank that merges with the word
#: after it (healing), and tokens in which a stop string begins or ends (".\n").
MERGES = (
    "th er in an on re at en he or es it is al ar le st nd ou ing and the ion ent "
    "ab ba aba abab cd 10 00 100 .␣ .␊ ␊␊ ,␣ :␣ ␣a ␣t ␣P ␣A ␣B ␣the ␣and ␣an "
    "␣Par ␣Paris Par Paris"
)

BOS_TEXT = "<|bos|>"
EOS_TEXT = "<|eos|>"
END_TEXT = "<|end|>"


class ByteVocabulary:
    """Ids 0..255 are the bytes, then merges (for kind "merges"), then BOS, EOS and an end of turn.

    :param kind: "bytes" or "merges".
    :param with_bos: whether there is a BOS token.
    """

    def __init__(self, kind: VocabularyKind = "bytes", *, with_bos: bool = True) -> None:
        self.surfaces: list[bytes] = [bytes([value]) for value in range(256)]
        #: (left id, right id, merged id), in the order in which they apply.
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
        # Special tokens stand for no bytes.
        self.surfaces += [b""] * len(self.special_tokens)
        self._special_ids = ids
        self._special_pattern = re.compile("(" + "|".join(map(re.escape, ids)) + ")")

    @property
    def size(self) -> int:
        """V: how many tokens there are."""
        return len(self.surfaces)

    def tokenize(self, text: str, parse_special: bool) -> list[int]:
        """Ids of `text`; special tokens only where asked for."""
        if not parse_special:
            return self._ordinary(text)
        tokens: list[int] = []
        for part in self._special_pattern.split(text):
            special = self._special_ids.get(part)
            tokens += self._ordinary(part) if special is None else [special]
        return tokens

    def detokenize(self, tokens: Sequence[int]) -> bytes:
        """The bytes of `tokens`."""
        return b"".join([self.surfaces[token] for token in tokens])

    def _ordinary(self, text: str) -> list[int]:
        raw = text.encode("utf-8")
        if not self.merges:
            return list(raw)
        # One character an id: `str.replace` then applies a merge everywhere, left to right.
        spelled = raw.decode("latin-1")
        for left, right, merged in self.merges:
            spelled = spelled.replace(chr(left) + chr(right), chr(merged))
        return [ord(character) for character in spelled]

    def _add_merge(self, surface: bytes) -> None:
        """Add the token `surface`, made of two earlier ones, the first as long as possible."""
        known = {known: i for i, known in enumerate(self.surfaces)}
        for cut in range(len(surface) - 1, 0, -1):
            left, right = known.get(surface[:cut]), known.get(surface[cut:])
            if left is not None and right is not None:
                self.merges.append((left, right, len(self.surfaces)))
                self.surfaces.append(surface)
                return
        raise ValueError(f"{surface!r} is not made of two earlier tokens")
