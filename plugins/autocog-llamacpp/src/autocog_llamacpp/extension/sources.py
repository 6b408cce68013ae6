"""The digest of the extension's sources. It detects an extension that is older than its sources."""

from __future__ import annotations

import hashlib
from pathlib import Path


def digest_sources(folder: Path) -> str:
    """Return the SHA-256 of all C++ sources in a folder; empty if the folder is missing."""
    if not folder.is_dir():
        return ""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".h", ".cpp"):
            name = path.relative_to(folder).as_posix()
            digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
