"""Environment of child processes that import `tests.support`."""

from __future__ import annotations

import os
from pathlib import Path

#: The root of the repository.
ROOT = Path(__file__).parents[2]


def child_environment(**variables: str) -> dict[str, str]:
    """Return this environment, with `variables`, for a child that imports from `tests`."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path, **variables}
