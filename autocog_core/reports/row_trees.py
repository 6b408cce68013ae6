"""The trees of the rows with the highest losses, from the folder where the run kept them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from autocog_core.dataset.tree_files import read_tree
from autocog_core.errors import InputError
from autocog_core.html.tree_data import tree_data
from autocog_core.reports.figures.run_columns import RunColumns
from autocog_core.reports.row_list import highest_losses

MAX_TREES = 100
#: Characters of all trees of a run, so that the page stays small.
_MAX_CHARACTERS = 3_000_000


def tree_folder(run: RunColumns, given: Path | None) -> Path | None:
    """Return the folder with the trees of a run; None if it kept none, or they are gone.

    :param run: the run.
    :param given: the folder that the user names; None takes that of the run.
    :raises InputError: if the user's folder is not there.
    """
    if given is not None:
        if not given.is_dir():
            hint = "name the folder of `autocog run --trees`"
            raise InputError("there is no such folder", where=str(given), hint=hint)
        return given
    kept = run.identity.get("folder of trees")
    if not isinstance(kept, str):
        return None
    # As the run named it, or beside the output if both have moved.
    candidates = (Path(kept), run.journal.parent / Path(kept).name)
    return next((folder for folder in candidates if folder.is_dir()), None)


def row_trees(run: RunColumns, folder: Path) -> dict[int, dict[str, Any]]:
    """Return the data of the trees of the rows with the highest losses, by row.

    :param run: the run.
    :param folder: the folder with its trees.
    :raises InputError: for a file that is no tree.
    """
    trees: dict[int, dict[str, Any]] = {}
    size = 0
    for answer in highest_losses(run.answers, MAX_TREES):
        tree = read_tree(folder, answer.row)
        if tree is None:
            continue
        data = tree_data(tree)
        size += len(json.dumps(data))
        if size > _MAX_CHARACTERS:
            break
        trees[answer.row] = data
    return trees
