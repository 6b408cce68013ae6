"""How much a run may cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of a run, which then ends with what it has; None is no limit.

    :ivar tokens: tokens evaluated by the models. `paths`: paths begun, complete or not.
    :ivar seconds: time.
    """

    tokens: int | None = None
    paths: int | None = None
    seconds: float | None = None

    def exceeded(self, tokens: int, paths: int, seconds: float) -> str | None:
        """Which limit is reached, if one is."""
        spent = {"tokens": tokens, "paths": paths, "seconds": seconds}
        limits = {"tokens": self.tokens, "paths": self.paths, "seconds": self.seconds}
        return next(
            (name for name, limit in limits.items() if limit is not None and spent[name] >= limit),
            None,
        )
