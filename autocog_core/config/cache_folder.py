"""Where what is worth keeping between runs is kept: `$AUTOCOG_CACHE`, else the user's cache."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

CACHE_DIR_VARIABLE = "AUTOCOG_CACHE"


def cache_folder(plugin: str = "") -> Path:
    """The folder of one plugin, or that of all; it may not exist yet."""
    named = os.environ.get(CACHE_DIR_VARIABLE)
    base = Path(named).expanduser() if named else user_cache_path("autocog")
    return base / plugin


def file_hash(path: Path) -> str:
    """sha256 of a file, remembered by path, size and modification time."""
    status = path.stat()
    key = f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"
    index = cache_folder() / "hashes.json"
    index.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{index}.lock"):
        known: dict[str, str] = json.loads(index.read_text()) if index.exists() else {}
        if key not in known:
            with path.open("rb") as stream:
                known[key] = hashlib.file_digest(stream, "sha256").hexdigest()
            temporary = index.with_suffix(".new")
            temporary.write_text(json.dumps(known))
            temporary.replace(index)
        return known[key]
