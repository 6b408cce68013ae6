"""The digest of the extension's sources, by which one that is older than its Python is told."""

from __future__ import annotations

import hashlib
from pathlib import Path


def digest(folder: Path) -> str:
    """Sha256 of all sources in a folder, in hexadecimal; empty if it is not there."""
    if not folder.is_dir():
        return ""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".h", ".cpp"):
            name = path.relative_to(folder).as_posix()
            found.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()
