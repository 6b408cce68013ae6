"""Finding stop strings in a growing text, on bytes, and what of it may be shown already."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class StopMatcher:
    """Watches the bytes of one completion for stop strings.

    The first stop to be *complete* wins, as if bytes came one at a time; of several that end at
    the same byte, the longest.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [(stop, stop.encode("utf-8")) for stop in stops]
        self._longest = max((len(raw) for _, raw in self._stops), default=0)
        self.raw = bytearray()
        self.stop: str | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._shown = 0

    def feed(self, piece: bytes) -> bool:
        """Add the bytes of the next token; True once a stop string is complete.

        The text before the stop is then all of `raw`.
        """
        searched_from = max(0, len(self.raw) - self._longest + 1)
        self.raw += piece
        found: tuple[int, int, str] | None = None
        for stop, raw in self._stops:
            start = self.raw.find(raw, searched_from)
            if start >= 0:
                match = (start + len(raw), start, stop)
                found = match if found is None else min(found, match)
        if found is None:
            return False
        _, start, self.stop = found
        del self.raw[start:]
        return True

    def showable(self, final: bool = False) -> str:
        """The text, not shown before, that can no longer turn out to be part of a stop."""
        end = len(self.raw) if final else len(self.raw) - self._held_back()
        piece = self._decoder.decode(bytes(self.raw[self._shown : end]), final)
        self._shown = max(self._shown, end)
        return piece

    def text(self) -> str:
        """The whole text so far; bytes that are no UTF-8 become U+FFFD."""
        return self.raw.decode("utf-8", errors="replace")

    def _held_back(self) -> int:
        """Length of the longest end of the text that begins a stop string."""
        for length in range(min(self._longest - 1, len(self.raw)), 0, -1):
            tail = bytes(self.raw[-length:])
            if any(raw.startswith(tail) for _, raw in self._stops):
                return length
        return 0
