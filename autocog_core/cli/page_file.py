"""Pages in HTML that commands write."""

from __future__ import annotations

from pathlib import Path

from autocog_core.errors import InputError


def require_writable_page(path: Path, option: str) -> None:
    """Check the file of a page before a model is loaded.

    :raises InputError: if its folder does not exist, or it is a folder itself.
    """
    if path.is_dir():
        raise InputError("is a folder", where=str(path), hint=f"give {option} a file")
    if not path.parent.is_dir():
        raise InputError("its folder does not exist", where=str(path), hint="create the folder")


def write_page(path: Path, page: str) -> None:
    """Write a page.

    :raises InputError: if it cannot be written.
    """
    from autocog_core.dataset.file_writing import write_file

    write_file(path, page)
