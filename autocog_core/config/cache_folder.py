"""The folder for data that outlives a run: `$AUTOCOG_CACHE`, else the user's cache folder."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from autocog_core.files import write_atomically

CACHE_DIR_VARIABLE = "AUTOCOG_CACHE"


def cache_folder(plugin: str = "") -> Path:
    """Return the cache folder, which may not exist yet.

    :param plugin: the name of a plugin's own folder inside it.
    """
    value = os.environ.get(CACHE_DIR_VARIABLE)
    base = Path(value).expanduser() if value else user_cache_path("autocog")
    return base / plugin


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file.

    The cache folder keeps it, by the file's path, size and modification time.

    :param path: the file.
    """
    status = path.stat()
    key = f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"
    index = cache_folder() / "hashes.json"
    index.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{index}.lock"):
        hashes: dict[str, str] = json.loads(index.read_text()) if index.exists() else {}
        if key not in hashes:
            with path.open("rb") as stream:
                hashes[key] = hashlib.file_digest(stream, "sha256").hexdigest()
            with write_atomically(index) as stream:
                stream.write(json.dumps(hashes).encode())
        return hashes[key]
