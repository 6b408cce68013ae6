"""How many calls may wait for the models, all requests together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from autocog_core.server.request_errors import RequestError

#: Seconds after which a refused client may come again.
RETRY_AFTER = 1


class Admission:
    """Counts the calls that wait or are being made, and refuses requests when there are too many.

    :param limit: with so many calls, a request is refused. A single request may have more.
    :ivar waiting: how many calls wait or are being made.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.waiting = 0

    @contextmanager
    def enter(self, count: int) -> Iterator[None]:
        """Let a request wait with its calls, within a block.

        :param count: its number of calls.
        :raises RequestError: with 429 if too many calls wait already.
        """
        if self.waiting >= self._limit:
            raise RequestError(
                f"{self.waiting} calls wait for the models, and at most {self._limit} may; come "
                f"again later",
                status=429,
                code="too_many_requests",
                headers={"Retry-After": str(RETRY_AFTER)},
            )
        self.waiting += count
        try:
            yield
        finally:
            self.waiting -= count
