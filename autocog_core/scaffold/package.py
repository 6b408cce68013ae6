"""Writing the package of a new backend from the template."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from autocog_core.errors import InputError
from autocog_core.scaffold.plugin_name import PluginName
from autocog_core.version import __version__

_SUFFIX = ".jinja"
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
    # If a file cannot be rendered, none is written.
    texts = dict(_render_files(name))
    try:
        for path, text in texts.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            # "x" replaces no file. The newline is the same on every system.
            with target.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
    except OSError as error:
        raise InputError(
            f"cannot be written: {error.strerror or error}",
            where=str(folder),
            hint="name another folder",
        ) from error
    return sorted(texts)


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


def _render_files(name: PluginName) -> Iterator[tuple[Path, str]]:
    # The brackets of jinja have a meaning in GitHub's workflows, in TOML and in Python.
    environment = Environment(
        variable_start_string="<%",
        variable_end_string="%>",
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - the files are Python and TOML, not HTML
    )
    values = {
        "name": name.name,
        "distribution": name.distribution,
        "module": name.module,
        "class_prefix": name.class_prefix,
        "core_requirement": _core_requirement(),
    }
    for path, source in _template_files(files("autocog_core.scaffold") / "template"):
        parts = (name.module if part == _MODULE_FOLDER else part for part in path.parts)
        yield Path(*parts), environment.from_string(source).render(values)


def _core_requirement() -> str:
    """Return the requirement of core: the minor version, which fixes the contract."""
    major, minor = __version__.split(".")[:2]
    return f"autocog-core>={major}.{minor}.0,<{major}.{int(minor) + 1}"


def _template_files(folder: Traversable, path: Path = Path()) -> Iterator[tuple[Path, str]]:
    """Yield the path and the text of every file of the template."""
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _template_files(entry, path / entry.name)
        elif entry.name.endswith(_SUFFIX):
            yield path / entry.name.removesuffix(_SUFFIX), entry.read_text(encoding="utf-8")
