"""Retries of calls that fail with a retryable error."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from autocog_core.errors import AutocogError

log = logging.getLogger(__name__)
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """Number of retries after a retryable error, and the pauses before them.

    :ivar retries: maximum number of retries; 0 never retries.
    :ivar delta: seconds before the first retry.
    :ivar growth: factor from one pause to the next.
    """

    retries: int = 0
    delta: float = 1.0
    growth: float = 2.0

    def run(
        self,
        call: Callable[[], Result],
        may_retry: Callable[[], bool] = lambda: True,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Result:
        """Return the result of `call`, and repeat the call while retries are left.

        :param call: the call.
        :param may_retry: returns whether another call is allowed after a retryable error.
        :param sleep: waits for a number of seconds.
        :raises AutocogError: the error of the last call, with `attempts` set.
        """
        pause = self.delta
        attempt = 1
        while True:
            try:
                return call()
            except AutocogError as error:
                # An inner call without retries left has set `attempts`. Retrying here again
                # would multiply the retries.
                is_exhausted = error.attempts > 0 or attempt > self.retries
                if is_exhausted or not error.retryable or not may_retry():
                    error.attempts = max(error.attempts, attempt)
                    raise
                log.warning("%s; retrying in %.1f s", error, pause)
            sleep(pause)
            pause *= self.growth
            attempt += 1
