"""Files of a run that are complete or missing, and the error for those that cannot be written."""

from __future__ import annotations

from pathlib import Path

from autocog_core.errors import InputError
from autocog_core.files import write_atomically


def write_file(path: Path, text: str) -> None:
    """Write a text file that is complete or missing, even if the process is killed.

    :raises InputError: if it cannot be written.
    """
    try:
        with write_atomically(path) as stream:
            stream.write(text.encode("utf-8", errors="backslashreplace"))
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError, hint: str = "") -> InputError:
    """Return the error for a file that cannot be written."""
    message = f"cannot be written: {error.strerror or error}"
    return InputError(message, where=str(path), hint=hint)
