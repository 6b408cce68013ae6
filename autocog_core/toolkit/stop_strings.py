"""Find stop strings in a growing text, on bytes, and the text that can be released already."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


def find_first_stop(
    raw: bytes | bytearray, before: int, stops: Sequence[str]
) -> tuple[int, str] | None:
    """Return the first complete stop string in `raw` and the offset where it begins, or None.

    :param before: the first `before` bytes are known to contain no complete stop string.
    """
    first: tuple[int, int, str] | None = None
    for stop in stops:
        encoded = stop.encode("utf-8")
        start = raw.find(encoded, max(0, before - len(encoded) + 1))
        if start >= 0:
            match = (start + len(encoded), start, stop)
            first = match if first is None else min(first, match)
    return None if first is None else first[1:]


class StopMatcher:
    """Searches the bytes of one completion for stop strings.

    The stop string that is *complete* first wins, as if bytes came one at a time; of several that
    end at the same byte, the longest wins.

    :ivar raw: the bytes so far, without the stop string.
    :ivar stop: the stop string that ended the text; None so far.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._encoded_stops = [stop.encode("utf-8") for stop in stops]
        self._stops = tuple(stops)
        self._max_stop_bytes = max(map(len, self._encoded_stops), default=0)
        self.raw = bytearray()
        self.stop: str | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._released = 0

    def feed(self, piece: bytes) -> bool:
        """Add the bytes of the next token; return True once a stop string is complete."""
        before = len(self.raw)
        self.raw += piece
        match = find_first_stop(self.raw, before, self._stops)
        if match is None:
            return False
        start, self.stop = match
        del self.raw[start:]
        return True

    def releasable_text(self, final: bool = False) -> str:
        """Return the text, not returned before, that cannot be part of a stop string any more."""
        end = len(self.raw) if final else len(self.raw) - self._pending_bytes()
        piece = self._decoder.decode(bytes(self.raw[self._released : end]), final)
        self._released = max(self._released, end)
        return piece

    def text(self) -> str:
        """Return the whole text so far; bytes that are not UTF-8 become U+FFFD."""
        return self.raw.decode("utf-8", errors="replace")

    def _pending_bytes(self) -> int:
        """Return the length of the longest end of the text that a stop string begins with."""
        for length in range(min(self._max_stop_bytes - 1, len(self.raw)), 0, -1):
            tail = bytes(self.raw[-length:])
            if any(stop.startswith(tail) for stop in self._encoded_stops):
                return length
        return 0
