"""Files made from the templates of this package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from autocog_core.errors import InputError

_SUFFIX = ".jinja"


def render_template(template: str, values: Mapping[str, Any]) -> dict[Path, str]:
    """Return the texts of all files of a template, by their paths in it.

    :param template: a folder of this package.
    :param values: the values of the templates' variables.
    """
    # The brackets of jinja have a meaning in GitHub's workflows, in TOML and in Python.
    environment = Environment(
        variable_start_string="<%",
        variable_end_string="%>",
        block_start_string="<%%",
        block_end_string="%%>",
        trim_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - the files are Python and TOML, not HTML
    )
    sources = _template_files(files("autocog_core.scaffold") / template)
    return {path: environment.from_string(source).render(values) for path, source in sources}


def write_texts(folder: Path, texts: Mapping[Path, str]) -> list[Path]:
    """Write files and replace none.

    :param folder: the folder, which may not exist yet.
    :param texts: the files' texts by their paths in it.
    :returns: the paths, sorted.
    :raises InputError: if a file exists, or cannot be written.
    """
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


def _template_files(folder: Traversable, path: Path = Path()) -> Iterator[tuple[Path, str]]:
    """Yield the path and the text of every file of the template."""
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _template_files(entry, path / entry.name)
        elif entry.name.endswith(_SUFFIX):
            yield path / entry.name.removesuffix(_SUFFIX), entry.read_text(encoding="utf-8")
