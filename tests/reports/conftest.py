"""Outputs of runs for reports, and a browser for their pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autocog_core import Automaton
from autocog_core.backends.random import RandomLM
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
#: Makes an output of some rows: `output(name, seed=, gold=, ...)`.
MakeOutput = Callable[..., Path]


def table(rows: int) -> list[dict[str, Any]]:
    """Rows with right answers; that of row 5 is missing, and that of row 7 is no choice."""
    made = [
        {
            "text": f"row {index} \u202e<script>alert(1)</script> \x1b[31m [red]" * (1 + index % 2),
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


@pytest.fixture
def output(tmp_path: Path) -> MakeOutput:
    """Run the program on a random model."""

    def make(name: str, *, seed: int = 1, rows: int = 60, **options: Any) -> Path:
        source = tmp_path / f"rows-{rows}.jsonl"
        source.write_text("".join(json.dumps(row) + "\n" for row in table(rows)), "utf-8")
        gold = options.pop("gold", Gold("color", "label"))
        with load(backend="random", options={"seed": seed}) as model:
            assert isinstance(model.backend, RandomLM)
            automaton = Automaton.from_dict(options.pop("program", PROGRAM))
            run = Run(automaton, model, gold=gold, program_name="colors.yaml", **options)
            run_file(run, source, tmp_path / name)
        return tmp_path / name

    return make
