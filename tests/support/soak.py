"""How much a test does: a small, seeded part in `nox -s tests`, all of it in `nox -s soak`."""

from __future__ import annotations

import os

#: Whether this is the long run before a release, which `nox -s soak` starts.
SOAK = os.environ.get("AUTOCOG_SOAK", "") not in ("", "0")


def count(normal: int, soak: int) -> int:
    """`normal` in the run of every change, `soak` in the long one."""
    return soak if SOAK else normal
