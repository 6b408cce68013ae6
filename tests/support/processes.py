"""Processes that tests start: they import `tests.support` as the tests themselves do."""

from __future__ import annotations

import os
from pathlib import Path

#: The folder that `tests` is in.
ROOT = Path(__file__).parents[2]


def child_environment(**variables: str) -> dict[str, str]:
    """This process's environment for a child that imports from `tests`, with more variables."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path, **variables}
