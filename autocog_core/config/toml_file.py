"""Read a TOML file, with errors that say how to fix it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from autocog_core.errors import ConfigError
from autocog_core.files import decode_text


def read_toml(file: Path) -> dict[str, Any]:
    """Return the contents of a TOML file.

    :param file: the file, in UTF-8 with or without a byte order mark.
    :raises ConfigError: if it cannot be read, or is not TOML.
    """
    where = str(file)
    try:
        text = decode_text(file.read_bytes(), where, ConfigError)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", where=where) from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        hint = _backslash_hint(text, str(error))
        raise ConfigError(f"is not valid TOML: {error}", where=where, hint=hint) from error
    except RecursionError as error:
        raise ConfigError("is nested too deeply", where=where) from error


def _backslash_hint(text: str, message: str) -> str:
    """Return the hint for a path with backslashes in double quotes, where TOML has escapes."""
    match = re.search(r"at line (\d+)", message)
    line = text.split("\n")[int(match[1]) - 1] if match else ""
    if "\\" not in line or '"' not in line:
        return ""
    return r"write paths with backslashes in single quotes: 'C:\models\x'"
