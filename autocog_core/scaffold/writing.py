"""Rendering the template's files, and writing them where nothing is yet."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from autocog_core.errors import InputError
from autocog_core.scaffold.naming import PluginName
from autocog_core.version import __version__

_SUFFIX = ".jinja"
#: The folder of the template that gets the module's name.
_MODULE = "MODULE"


def write_package(name: PluginName, folder: Path) -> list[Path]:
    """Write the package of a new backend into `folder`; its files, relative to that.

    :raises InputError: if `folder` holds something already, or cannot be written.
    """
    _check_empty(folder)
    # All are rendered before the first is written.
    rendered = dict(_rendered(name))
    try:
        for path, text in rendered.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            # Not over a file that has come meanwhile; the same bytes on every system.
            with target.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
    except OSError as error:
        raise InputError(
            f"cannot be written: {error.strerror or error}", where=str(folder), hint="name another"
        ) from error
    return sorted(rendered)


def _check_empty(folder: Path) -> None:
    try:
        occupied = folder.is_symlink() or folder.exists()
        if occupied and (not folder.is_dir() or any(folder.iterdir())):
            what = "there are files in it already" if folder.is_dir() else "it is no folder"
            raise InputError(
                f"{what}, and nothing is overwritten",
                where=str(folder),
                hint="name a new or an empty folder",
            )
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror or error}", where=str(folder), hint="name another"
        ) from error


def _rendered(name: PluginName) -> Iterator[tuple[Path, str]]:
    # Its own brackets: those of jinja mean something in GitHub's workflows, in TOML and in Python.
    environment = Environment(
        variable_start_string="<%",
        variable_end_string="%>",
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - what it makes is Python and TOML, not HTML
    )
    values = {
        "name": name.name,
        "distribution": name.distribution,
        "module": name.module,
        "camel": name.camel,
        "core": _requirement(),
    }
    for path, source in _sources(files("autocog_core.scaffold") / "template"):
        placed = Path(*(name.module if part == _MODULE else part for part in path.parts))
        yield placed, environment.from_string(source).render(values)


def _requirement() -> str:
    """The minor versions of core that share this one's contract."""
    major, minor = __version__.split(".")[:2]
    return f"autocog-core>={major}.{minor}.0,<{major}.{int(minor) + 1}"


def _sources(folder: Traversable, path: Path = Path()) -> Iterator[tuple[Path, str]]:
    """The template's files: where each stands, and what is in it."""
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _sources(entry, path / entry.name)
        elif entry.name.endswith(_SUFFIX):
            yield path / entry.name.removesuffix(_SUFFIX), entry.read_text(encoding="utf-8")
