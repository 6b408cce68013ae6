"""Outputs of runs for reports, and a browser for their pages."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autocog_core import Automaton
from autocog_core.dataset import Gold, Run, run_file
from autocog_core.model.load import load
from tests.support.browser import browser, open_page

__all__ = ["browser", "open_page"]

LABELS = ("red", "green", "blue", "1.0", "it's <b>bold</b>")
PROGRAM: dict[str, Any] = {
    "inputs": {"text": "text"},
    "actions": [
        {"text": "{{ text }}"},
        {"name": "mood", "choices": [" good", " bad"]},
        {"text": "."},
        {"name": "color", "choices": [f" {label}" for label in LABELS]},
    ],
}
HOSTILE = "\u202e<script>alert(1)</script> \x1b[31m [red]"
#: Makes an output of some rows: `output(name, seed=, gold=, ...)`.
MakeOutput = Callable[..., Path]


def table(rows: int) -> list[dict[str, Any]]:
    """Rows with right answers; that of row 5 is missing, and that of row 7 is no choice."""
    made = [
        {
            "text": f"row {index} {HOSTILE if index % 11 == 0 else ''}",
            "label": LABELS[index % len(LABELS)],
            "part": "ab"[index % 3 % 2],
        }
        for index in range(rows)
    ]
    if rows > 7:
        made[5]["label"] = None
        made[7]["label"] = "mauve"
        made[3]["label"] = 1
    return made


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A folder with outputs that tests have made, and what they asked for."""
    return tmp_path_factory.mktemp("outputs"), []


@pytest.fixture
def output(tmp_path: Path, made: tuple[Path, list[str]]) -> MakeOutput:
    """Run the program on a random model, once for all tests that ask for the same."""
    folder, known = made

    def make(name: str, **options: Any) -> Path:
        if "tree_dir" in options:
            return run_program(tmp_path / name, **options)
        asked = repr((Path(name).suffix, sorted(options.items())))
        if asked not in known:
            known.append(asked)
            run_program(folder / f"{known.index(asked)}{Path(name).suffix}", **options)
        stem = f"{known.index(asked)}{Path(name).suffix}"
        for path in folder.glob(f"{stem}*"):
            shutil.copy(path, tmp_path / path.name.replace(stem, name, 1))
        return tmp_path / name

    return make


def run_program(path: Path, *, seed: int = 1, rows: int = 60, **options: Any) -> Path:
    source = path.with_name(f"{path.name}-input.jsonl")
    source.write_text("".join(json.dumps(row) + "\n" for row in table(rows)), "utf-8")
    gold = options.pop("gold", Gold("color", "label"))
    program = options.pop("program", PROGRAM)
    with load(backend="random", options={"seed": seed}) as model:
        automaton = Automaton.from_dict(program)
        run_file(
            Run(automaton, model, gold=gold, program_name="colors.yaml", **options), source, path
        )
    return path
