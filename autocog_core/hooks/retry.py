"""Trying an engine call again, for the errors that declare themselves retryable."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from autocog_core.errors import AutocogError

log = logging.getLogger(__name__)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and after which pauses a failed call is made again.

    :ivar retries: calls after the first one; 0 never retries.
    :ivar delta: seconds before the first retry.
    :ivar growth: factor between one pause and the next.
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
        """The result of `call`, made again while its error is retryable and retries are left.

        :param may_retry: asked before each retry; False lets the error through at once.
        """
        pause = self.delta
        attempt = 1
        while True:
            try:
                return call()
            except AutocogError as error:
                # `attempts` is set once an inner call has used its retries up: an outer one that
                # retried again would multiply them.
                spent = error.attempts > 0 or attempt > self.retries
                if spent or not error.retryable or not may_retry():
                    error.attempts = max(error.attempts, attempt)
                    raise
                log.warning("%s; trying again in %.1f s", error, pause)
            sleep(pause)
            pause *= self.growth
            attempt += 1
