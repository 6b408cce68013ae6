"""Where converted models and hashes are kept: `$AUTOCOG_CACHE`, else the user's cache."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path

VARIABLE = "AUTOCOG_CACHE"


def cache_folder() -> Path:
    """The folder of this plugin; it may not exist yet."""
    named = os.environ.get(VARIABLE)
    base = Path(named).expanduser() if named else user_cache_path("autocog")
    return base / "tf"
