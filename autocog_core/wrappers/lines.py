"""A file of JSON lines that several threads and processes add to."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import Any

from autocog_core.errors import ConfigError

log = logging.getLogger(__name__)


class LineFile:
    """Adds lines, each in the file when `write` returns.

    :raises ConfigError: if the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._stream: FileIO | None = None
        self._warned = False
        try:
            self._stream = _appending(path)
        except OSError as error:
            raise ConfigError(f"cannot be written: {error.strerror}", where=str(path)) from error

    def write(self, record: Mapping[str, Any]) -> None:
        """Add a line. A full disk is told as a warning: whoever is watched goes on."""
        line = json.dumps(record, default=str).encode() + b"\n"
        with self._lock:
            try:
                self._stream = self._stream or _appending(self.path)
                # At once and to the end, so that lines of several processes stay whole.
                self._stream.write(line)
            except OSError as error:
                if not self._warned:
                    self._warned = True
                    log.warning("%s cannot be written: %s", self.path, error.strerror)

    def close(self) -> None:
        """Close the file; a later line opens it again."""
        with self._lock:
            if self._stream is not None:
                self._stream.close()
                self._stream = None


def _appending(path: Path) -> FileIO:
    return path.open("ab", buffering=0)
