"""Writing the package of a new backend from the template."""

from __future__ import annotations

from pathlib import Path

from autocog_core.errors import InputError
from autocog_core.scaffold.plugin_name import PluginName
from autocog_core.scaffold.template_files import render_template, write_texts
from autocog_core.version import __version__

#: The folder of the template that gets the name of the module.
_MODULE_FOLDER = "MODULE"


def write_package(name: PluginName, folder: Path) -> list[Path]:
    """Write the package of a new backend.

    :param name: the backend's name.
    :param folder: a new or empty folder.
    :returns: the files, relative to `folder`.
    :raises InputError: if `folder` contains files, or cannot be written.
    """
    _check_empty(folder)
    return write_texts(folder, _render(name))


def _check_empty(folder: Path) -> None:
    try:
        exists = folder.is_symlink() or folder.exists()
        if not exists or (folder.is_dir() and not any(folder.iterdir())):
            return
        problem = "contains files, and none is overwritten" if folder.is_dir() else "is no folder"
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror or error}",
            where=str(folder),
            hint="name another folder",
        ) from error
    raise InputError(problem, where=str(folder), hint="name a new or an empty folder")


def _render(name: PluginName) -> dict[Path, str]:
    values = {
        "name": name.name,
        "distribution": name.distribution,
        "module": name.module,
        "class_prefix": name.class_prefix,
        "core_requirement": _core_requirement(),
    }
    return {
        Path(*(name.module if part == _MODULE_FOLDER else part for part in path.parts)): text
        for path, text in render_template("plugin_template", values).items()
    }


def _core_requirement() -> str:
    """Return the requirement of core: the minor version, which fixes the contract."""
    major, minor = __version__.split(".")[:2]
    return f"autocog-core>={major}.{minor}.0,<{major}.{int(minor) + 1}"
