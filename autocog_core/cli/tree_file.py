"""Trees in files: those that `autocog run` writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from autocog_core.errors import InputError
from autocog_core.files import decode_text
from autocog_core.types.thought_tree import ThoughtTree

_HINT = "give a file that `autocog run --json` or --trees has written"


def read_tree_file(path: Path) -> ThoughtTree | None:
    """Return the tree of a file; None for a file that holds no tree, such as a program.

    :raises InputError: if the file has a tree that is malformed.
    """
    data = _read_json(path)
    if not isinstance(data, dict) or not {"format", "nodes"} <= data.keys():
        return None
    from pydantic import ValidationError

    from autocog_core.schemas.tree import validate_tree

    if data["format"] == 1:
        try:
            validate_tree(data)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            message = f"is not a result tree: {place}: {first['msg']}"
            raise InputError(message, where=str(path), hint=_HINT) from error
    try:
        return ThoughtTree.from_dict(data)
    except InputError as error:
        message = f"is not a result tree: {error.message}"
        raise InputError(message, where=str(path), hint=_HINT) from error


def require_tree(path: Path) -> ThoughtTree:
    """Return the tree of a file.

    :raises InputError: if the file cannot be read, or holds no tree.
    """
    tree = read_tree_file(path)
    if tree is not None:
        return tree
    try:
        json.loads(decode_text(path.read_bytes(), str(path)))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"is no JSON: {error}", where=str(path), hint=_HINT) from error
    raise InputError("is no result tree", where=str(path), hint=_HINT)


def _read_json(path: Path) -> Any:
    """Return the data of a JSON file; None for any other file, which a program's reader reports."""
    if path.suffix.lower() != ".json":
        return None
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
