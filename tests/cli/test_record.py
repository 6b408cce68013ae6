"""`autocog record` prints the records of the API."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import autocog_core as autocog
from tests.cli.conftest import Run

SCHEMA = """
type: object
properties:
  color: {enum: [red, green]}
  count: {type: integer, minimum: 1, maximum: 3}
required: [color, count]
"""
MODULE = """
from dataclasses import dataclass
from typing import Literal


@dataclass
class Flower:
    color: Literal["red", "green"]
    count: Literal[1, 2, 3]
"""


@pytest.fixture(autouse=True)
def sources(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "flower.yaml").write_text(SCHEMA, encoding="utf-8")
    (folder / "flower_of_cli_test.py").write_text(MODULE, encoding="utf-8")
    (folder / "lines.txt").write_text("Color: {color}, count: {count}.", encoding="utf-8")
    monkeypatch.chdir(folder)


MODEL = ("--backend", "random", "--option", "vocabulary=merges")


@pytest.mark.parametrize("schema", ["flower.yaml", "flower_of_cli_test:Flower"])
@pytest.mark.parametrize("style", ["json", "@lines.txt"])
def test_fields_have_their_probabilities(run: Run, schema: str, style: str) -> None:
    options = ("record", "A flower:", "--schema", schema, "--style", style, *MODEL)
    data = json.loads(run(*options, "--json").stdout)
    expected = data["fields"]
    assert set(expected) == {"color", "count"}
    with autocog.load(backend="random", options={"vocabulary": "merges"}) as model:
        style = style if style == "json" else "Color: {color}, count: {count}."
        own = model.record("A flower:", autocog_schema(), style=style)
    assert own.to_dict() == data
    result = run(*options)
    lines = [line.split() for line in result.stdout.splitlines()]
    assert [line[0] for line in lines] == ["color", "count"]
    assert lines[0][2] == f"{expected['color']['prob']:.4f}"
    assert "prob " in result.stderr


def autocog_schema() -> dict[str, object]:
    return {
        "type": "object",
        "properties": {
            "color": {"enum": ["red", "green"]},
            "count": {"type": "integer", "minimum": 1, "maximum": 3},
        },
        "required": ["color", "count"],
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--schema", "nothing"], "'nothing' is neither a file nor a type"),
        (["--schema", "missing.json"], "missing.json: cannot be read"),
        (["--schema", "flower_of_cli_test:Tree"], 'has no "Tree"'),
        (["--schema", "no_such_module_x:Tree"], "cannot be imported: ModuleNotFoundError"),
        (["--schema", "flower.yaml", "--style", "lines"], "'lines' is no style"),
        (["--schema", "flower.yaml", "--style", "{size}"], 'the record has no field "size"'),
    ],
)
def test_wrong_options(wrong: Callable[..., str], options: list[str], message: str) -> None:
    assert message in wrong("record", "A flower:", *options, *MODEL)
