"""Finding stop strings in a growing text, on bytes, and what of it may be shown already."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


def find_first_stop(
    raw: bytes | bytearray, before: int, stops: Sequence[str]
) -> tuple[int, str] | None:
    """Where the first complete stop in `raw` begins, and which it is; None if there is none.

    :param before: how many bytes were looked at already, and held no complete stop.
    """
    found: tuple[int, int, str] | None = None
    for stop in stops:
        encoded = stop.encode("utf-8")
        start = raw.find(encoded, max(0, before - len(encoded) + 1))
        if start >= 0:
            match = (start + len(encoded), start, stop)
            found = match if found is None else min(found, match)
    return None if found is None else found[1:]


class StopMatcher:
    """Watches the bytes of one completion for stop strings.

    The first stop to be *complete* wins, as if bytes came one at a time; of several that end at
    the same byte, the longest.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [(stop, stop.encode("utf-8")) for stop in stops]
        self._texts = tuple(stops)
        self._longest = max((len(raw) for _, raw in self._stops), default=0)
        self.raw = bytearray()
        self.stop: str | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._shown = 0

    def feed(self, piece: bytes) -> bool:
        """Add the bytes of the next token; True once a stop string is complete.

        The text before the stop is then all of `raw`.
        """
        before = len(self.raw)
        self.raw += piece
        found = find_first_stop(self.raw, before, self._texts)
        if found is None:
            return False
        start, self.stop = found
        del self.raw[start:]
        return True

    def releasable_text(self, final: bool = False) -> str:
        """The text, not shown before, that can no longer turn out to be part of a stop."""
        end = len(self.raw) if final else len(self.raw) - self._pending_bytes()
        piece = self._decoder.decode(bytes(self.raw[self._shown : end]), final)
        self._shown = max(self._shown, end)
        return piece

    def text(self) -> str:
        """The whole text so far; bytes that are no UTF-8 become U+FFFD."""
        return self.raw.decode("utf-8", errors="replace")

    def _pending_bytes(self) -> int:
        """Length of the longest end of the text that begins a stop string."""
        for length in range(min(self._longest - 1, len(self.raw)), 0, -1):
            tail = bytes(self.raw[-length:])
            if any(raw.startswith(tail) for _, raw in self._stops):
                return length
        return 0
