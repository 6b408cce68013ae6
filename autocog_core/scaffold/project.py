"""The first files of a user: a config, a program and a table."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from autocog_core.errors import InputError
from autocog_core.scaffold.template_files import render_template, write_texts

PROGRAM = Path("topics.yaml")
ROWS = Path("messages.csv")


def write_project(folder: Path, engines: Collection[str]) -> list[Path]:
    """Write `autocog.toml`, a program and a table with rows for it.

    :param folder: a folder, which may contain other files.
    :param engines: the backends that can load SmolLM2 here: "llamacpp", "tf", both or none.
    :returns: the files, relative to `folder`.
    :raises InputError: if one of the files exists, or cannot be written.
    """
    names = {"llamacpp": "smol", "tf": "smol-tf"}
    default_model = next((names[name] for name in names if name in engines), "random")
    texts = render_template(
        "project_template", {"default_model": default_model, "engines": engines}
    )
    for path in texts:
        # os.path, since a name that is too long raises from `Path.exists`.
        if os.path.lexists(folder / path):
            raise InputError(
                "exists, and is not overwritten",
                where=str(folder / path),
                hint="name another folder",
            )
    return write_texts(folder, texts)
