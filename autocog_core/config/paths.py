"""Paths as people write them: the home folder, and the reason why there is no such file.

What cannot be looked at, such as a file in another user's folder, is not there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from autocog_core.errors import append_hint

#: Only such a text can be the name of a model on a hub: `NAME` or `OWNER/NAME`.
_HUB_NAME = re.compile(r"[A-Za-z0-9_][\w.-]*(/[A-Za-z0-9_][\w.-]*)?", re.ASCII)
_MODEL_FILES = (".gguf", ".json", ".safetensors")
_VARIABLE = re.compile(r"\$\w|\$\{|%\w+%")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def is_hub_name(text: str) -> bool:
    """Return whether a text may be a name on a hub, and not only a path.

    :param text: what is no file or folder.
    """
    return _HUB_NAME.fullmatch(text) is not None and not text.endswith(_MODEL_FILES)


def resolve_path(text: str | os.PathLike[str], folder: Path | None = None) -> Path:
    """Return a path with the home folder in place of `~`.

    :param text: the path as it was written.
    :param folder: the folder to which it is relative; None for the current folder.
    :raises ValueError: if there is no such user, or no home folder.
    """
    # As a text: `./~x` is the file `~x`, and a Path would have lost the `./`.
    written = os.fspath(text)
    if problem := _home_problem(written):
        raise ValueError(f"{problem} (for {written!r})")
    return Path(folder or Path(), os.path.expanduser(written))


def resolve_new_path(text: str | os.PathLike[str], folder: Path | None = None) -> Path:
    """Return the path of a file that need not exist; its folder is not created for a mistake.

    :param text: the path as it was written.
    :param folder: the folder to which it is relative; None for the current folder.
    :raises ValueError: if the text is no path, but for example has a variable.
    """
    path = resolve_path(text, folder)
    mistake = find_mistake(str(text))
    if mistake and not os.path.isdir(path.parent):
        raise ValueError(f"there is no folder {str(path.parent)!r}; {mistake}")
    return path


def user_folder(find: Callable[[str], Path]) -> Path | None:
    """Return autocog's own folder of a kind; None if no home folder is known.

    :param find: a function of platformdirs, such as `user_cache_path`.
    """
    try:
        folder = find("autocog")
    except RuntimeError:
        return None
    # Older releases of platformdirs return a path that begins with ~.
    return folder if folder.is_absolute() else None


def missing_message(text: str, path: Path) -> str:
    """Return the message for a path that does not exist.

    :param text: the path as it was written.
    :param path: where it was looked for.
    """
    return append_hint(f"there is no file or folder {shown_path(path)}", missing_hint(text, path))


def missing_hint(text: str | os.PathLike[str], path: Path) -> str:
    """Return why a path does not exist; "" if nothing but that is known.

    :param text: the path as it was written.
    :param path: where it was looked for.
    """
    return find_mistake(os.fspath(text)) or _access_problem(path)


def shown_path(path: Path) -> str:
    """Return a path for a message: as it is, or in quotes if it has control characters."""
    text = str(path)
    return repr(text) if _CONTROL.search(text) else text


def find_mistake(text: str) -> str:
    """Return what is probably wrong with a path and how to write it; "" if nothing is.

    :param text: the path as it was written.
    """
    if _CONTROL.search(text):
        return (
            "it has a tab or another control character; in TOML, write a path with backslashes in "
            r"single quotes: 'C:\models\x'"
        )
    if _VARIABLE.search(text):
        return (
            "variables such as $HOME are not replaced in paths; write the path itself, "
            "or ~ for the home folder"
        )
    return _home_problem(text)


def _home_problem(text: str) -> str:
    if not text.startswith("~") or os.path.expanduser(text) != text:
        return ""
    user = re.split(r"[/\\]", text)[0].removeprefix("~")
    if user:
        return f'there is no user "{user}"'
    return "the home folder is not known; set HOME, or write the path without ~"


def _access_problem(path: Path) -> str:
    try:
        path.stat()
    except PermissionError as error:
        return f"it cannot be looked at: {error.strerror}"
    except (OSError, ValueError):
        pass
    return ""
