"""The thought trees of a run: one file for each row that has a tree."""

from __future__ import annotations

import json
from pathlib import Path

from autocog_core.dataset.file_writing import unwritable, write_file
from autocog_core.dataset.shard import WHOLE, Shard
from autocog_core.errors import InputError, shorten
from autocog_core.types.thought_tree import ThoughtTree


def write_tree(folder: Path, row: int, tree: ThoughtTree | None) -> None:
    """Write the tree of a row; remove that of an earlier run if the row has none.

    :raises InputError: if the file or the folder cannot be written.
    """
    write_tree_text(folder, row, None if tree is None else tree_text(tree))


def tree_text(tree: ThoughtTree) -> str:
    """Return the content of a tree's file."""
    return json.dumps(tree.to_dict()) + "\n"


def write_tree_text(folder: Path, row: int, text: str | None) -> None:
    """Write the file of a row's tree; remove that of an earlier run if the row has none.

    :raises InputError: if the file or the folder cannot be written.
    """
    path = folder / f"{row:06d}.json"
    if text is None:
        _remove(path)
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be created: {error.strerror}", where=str(folder)) from error
    write_file(path, text)


def read_tree(folder: Path, row: int) -> ThoughtTree | None:
    """Return the tree of a row; None if it has none.

    :raises InputError: if the file cannot be read, or is no tree.
    """
    path = folder / f"{row:06d}.json"
    try:
        data = json.loads(path.read_bytes())
        if not isinstance(data, dict):
            raise InputError("is no tree", where=str(path))
        return ThoughtTree.from_dict(data)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        message = f"cannot be read as a tree: {shorten(str(error))}"
        raise InputError(message, where=str(path)) from error
    except InputError as error:
        raise InputError(error.message, where=str(path), hint=error.hint) from error


def remove_trees(folder: Path, shard: Shard = WHOLE) -> None:
    """Remove the trees of an earlier run, and nothing else.

    :param folder: the folder; other shards may have their trees there.
    :param shard: the rows of that run.
    :raises InputError: if they cannot be removed.
    """
    try:
        paths = list(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise unwritable(folder, error) from error
    for path in paths:
        row = path.name.partition(".")[0]
        if not row.isdecimal() or not shard.has(int(row)):
            continue
        if path.name in (f"{int(row):06d}.json", f"{int(row):06d}.json.part"):
            _remove(path)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except NotADirectoryError:
        # Then it does not exist either.
        return
    except OSError as error:
        raise unwritable(path, error) from error
