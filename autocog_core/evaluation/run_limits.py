"""How much a run has used, and which limit of its budget ends it."""

from __future__ import annotations

import time

from autocog_core.evaluation.open_path import OpenPath
from autocog_core.hooks.automaton_run import Budget


class RunLimits:
    """The limits of one run, from now on.

    :param budget: the limits.
    :ivar tokens_evaluated: tokens that the models evaluated so far.
    :ivar path_count: paths started so far.
    :ivar stopped_by: the limit that ended the run; None if none did.
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._start_time = time.perf_counter()
        self.tokens_evaluated = 0
        self.path_count = 0
        self.stopped_by: str | None = None

    @property
    def seconds(self) -> float:
        """Seconds since the start of the run."""
        return time.perf_counter() - self._start_time

    def is_reached(self, path: OpenPath | None = None) -> bool:
        """Return whether a limit ends the run, and note which.

        :param path: the path that continues, if one does.
        """
        if self.stopped_by is None:
            self.stopped_by = self._budget.exceeded(
                self.tokens_evaluated, self.path_count, self.seconds
            )
        if path is not None and path.action is not None and path.whole.length >= self._budget.nodes:
            self.stopped_by = self.stopped_by or "nodes"
        return self.stopped_by is not None
