"""The slow twin of a constrained Complete: all texts of a small language, and what may follow."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass

from autocog_core.automaton import Complete, Vocabulary
from tests.support.automata.reading import Ids, Reader, RefusedError
from tests.support.automata.searching import Search

#: The characters of the languages, and the largest number of them in a text.
ALPHABET = "ab\né"
LENGTH = 5


def language_of(expression: str) -> set[bytes]:
    """Return all texts over the alphabet that match, up to `LENGTH` characters."""
    texts = (
        "".join(letters)
        for count in range(LENGTH + 1)
        for letters in itertools.product(ALPHABET, repeat=count)
    )
    return {text.encode() for text in texts if re.fullmatch(expression, text)}


@dataclass
class Language:
    """A finite language, and the texts that may come after its texts.

    :ivar texts: its texts.
    :ivar stops: the stop strings, with anything after them.
    :ivar following: all texts that match `followed_by`; None without it.
    """

    texts: set[bytes]
    stops: list[bytes]
    following: set[bytes] | None = None

    def is_beginning(self, raw: bytes) -> bool:
        """Return whether bytes begin a text with what may come after it."""
        if any(text.startswith(raw) for text in self.texts):
            return True
        return any(self._may_follow(raw[end:]) for end in self._ends(raw))

    def _may_follow(self, rest: bytes) -> bool:
        if any(text.startswith(rest) for text in self.following or ()):
            return True
        return any(
            stop.startswith(rest) or (rest.startswith(stop) and is_beginning_of_text(rest))
            for stop in self.stops
        )

    def _ends(self, raw: bytes) -> list[int]:
        return [end for end in range(len(raw) + 1) if raw[:end] in self.texts]

    def end_of(self, raw: bytes) -> int | None:
        """Return where a text has ended: what is complete first; of equals, what begins first."""
        found = []
        for end in self._ends(raw):
            rest = raw[end:]
            if rest and any(text.startswith(rest) for text in self.following or ()):
                found.append((end + 1, end))
            found += [(end + len(stop), end) for stop in self.stops if rest.startswith(stop)]
        return min(found)[1] if found else None


def is_beginning_of_text(raw: bytes) -> bool:
    """Return whether bytes are UTF-8, but for a character that they only begin."""
    # The characters of the small models have at most three bytes.
    return any(_decodes(raw + more) for more in (b"", b"\xa9", b"\xbf\xbd", b"\xbd"))


def _decodes(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


class ConstrainedSearch(Search):
    """One constrained Complete after `base`, by the enumerated language."""

    def __init__(
        self,
        reader: Reader,
        action: Complete,
        vocabulary: Vocabulary | None,
        base: Ids,
        language: Language,
    ) -> None:
        super().__init__(reader, action, vocabulary, base)
        self.language = language

    def admitted(self, taken: Ids) -> set[int]:
        raw = self.reader.surface(taken)
        found = set()
        for token in super().admitted(taken):
            piece = self.reader.surface((token,))
            if token in self.eos:
                may_end = raw in self.language.texts and self.language.following is None
                found |= {token} if may_end else set()
            elif piece and self.language.is_beginning(raw + piece):
                found.add(token)
        return found

    def ended(self, tokens: Ids) -> tuple[str, int] | None:
        raw = self.reader.surface(tokens)
        if tokens[-1] in self.eos:
            return "eos", len(raw)
        end = self.language.end_of(raw)
        if end is not None:
            return "stop", end
        is_text = raw in self.language.texts and self.language.following is None
        goes_on = any(text.startswith(raw) and text != raw for text in self.language.texts) or (
            is_text and bool(self.language.stops)
        )
        if is_text and not goes_on and not self.eos:
            return "complete", len(raw)
        if len(tokens) == self.action.length:
            return ("length" if is_text else "incomplete"), len(raw)
        if not self._possible(tokens):
            # A set of tokens, or the vocabulary, ends it.
            return ("complete" if is_text else "incomplete"), len(raw)
        return None

    def allowed(self, tokens: Ids) -> list[float]:
        """Return the log of the mass of the allowed tokens before each token."""
        masses = []
        for count in range(len(tokens)):
            row = self.reader.row(self.base + tokens[:count])
            mass = math.fsum(math.exp(row[token]) for token in self.admitted(tokens[:count]))
            masses.append(math.log(mass))
        return masses

    def possible_texts(self) -> list[tuple[Ids, str]]:
        """Return every token sequence that the rules allow, with how it ends."""
        found: list[tuple[Ids, str]] = []
        stack: list[Ids] = [()]
        while stack:
            tokens = stack.pop()
            for token in self._possible(tokens):
                longer = (*tokens, token)
                end = self.ended(longer)
                if end is None:
                    stack.append(longer)
                else:
                    found.append((longer, end[0]))
        if not found:
            raise RefusedError
        return found
