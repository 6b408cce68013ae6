"""The length of tests: short in `nox -s tests`, full in `nox -s soak`."""

from __future__ import annotations

import os

#: Whether this is the long run before a release.
SOAK = os.environ.get("AUTOCOG_SOAK", "") not in ("", "0")


def count(normal: int, soak: int) -> int:
    """Return `soak` in the long run, and `normal` otherwise."""
    return soak if SOAK else normal
