"""An iterator over the text of a completion that reports its pieces through a callback."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator

from autocog_core.types.completion import Completion


class _StreamClosedError(Exception):
    """Raised inside the completion after its iterator was closed."""


def stream_text(complete: Callable[[Callable[[str], None]], Completion]) -> Iterator[str]:
    """Yield the pieces that `complete` passes to its callback, while it still runs.

    An error of the completion is raised here, after the pieces before it. Closing the iterator
    ends the completion at its next piece.
    """
    pieces: queue.SimpleQueue[str | BaseException | None] = queue.SimpleQueue()
    closed = threading.Event()

    def on_text(piece: str) -> None:
        if closed.is_set():
            raise _StreamClosedError
        pieces.put(piece)

    def work() -> None:
        try:
            complete(on_text)
        except _StreamClosedError:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again by the iterator
            pieces.put(error)
        else:
            pieces.put(None)

    thread = threading.Thread(target=work, name="autocog-stream", daemon=True)
    thread.start()
    try:
        while (piece := pieces.get()) is not None:
            if isinstance(piece, BaseException):
                raise piece
            yield piece
    finally:
        closed.set()
        thread.join()
