"""Run the notebooks of the docs, and keep their outputs: `nox -s pictures` calls it."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import nbclient
import nbformat

FOLDER = Path(__file__).parents[1] / "docs/notebooks"
#: What differs from one run to the next: where a library prints it, and how far it is.
VOLATILE = ("stderr",)


def run_notebook(path: Path) -> Any:
    """Return a notebook with the outputs of a new run, in an empty folder.

    :param path: the file.
    :raises nbclient.exceptions.CellExecutionError: if a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        nbclient.NotebookClient(notebook, timeout=120, resources=resources).execute()
    for cell in notebook.cells:
        cell.metadata.clear()
        if cell.cell_type == "code":
            cell.outputs = [each for each in cell.outputs if each.get("name") not in VOLATILE]
    notebook.metadata.language_info = {"name": "python"}
    return notebook


def main() -> None:
    """Run all notebooks."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        nbformat.write(run_notebook(path), path)
        sys.stdout.write(f"{path.name}\n")


if __name__ == "__main__":
    main()
