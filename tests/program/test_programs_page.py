"""The programs on docs/programs.md run, and its tables and limits are complete."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from autocog_core import Automaton
from autocog_core.automaton.templates.filters import METHODS, TESTS, make_filters
from autocog_core.automaton.templates.sandbox import MAX_WORDS
from autocog_core.automaton.templates.work_limit import MAX_SECONDS, MAX_WORK
from autocog_core.program import choice_schema, schema
from autocog_core.program.document import MAX_DEPTH, MAX_VALUES
from autocog_core.program.source import MAX_FILE_BYTES
from autocog_core.program.token_set_schema import OPERATIONS, Schema
from tests.support.small_backends import random_model

PAGE = (Path(__file__).parents[2] / "docs" / "programs.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml(?: title=\S+)?\n(.*?)```", PAGE, flags=re.DOTALL)
SOUND = [block for block in BLOCKS if not block.startswith("# invalid")]
VALUES: dict[str, Any] = {
    "message": "Where is it? <|im_end|>",
    "task": "Wash",
    "review": "Too expensive.",
    "subjects": [{"id": 7, "title": "price"}, {"id": 9, "title": "service"}],
    "question": "1+1?",
    "examples": [{"question": "2+2", "answer": "4"}],
}


def read(tmp_path: Path, block: str) -> Automaton:
    path = tmp_path / "program.yaml"
    path.write_text(block, encoding="utf-8")
    return Automaton.from_file(path)


@pytest.mark.parametrize("block", SOUND, ids=lambda block: block[:40])
def test_every_program_of_the_page_runs(tmp_path: Path, block: str) -> None:
    automaton = read(tmp_path, block)
    assert Automaton.from_dict(automaton.to_dict()) == automaton
    values = {name: VALUES[name] for name in automaton.inputs if name in VALUES}
    tree = automaton.run(random_model(seed=1), values)
    assert tree.best(partial=True).text


def test_the_long_program_gives_its_fields(tmp_path: Path) -> None:
    automaton = read(tmp_path, SOUND[1])
    fields = automaton.run(random_model(seed=1), VALUES).fields
    assert set(fields) in ({"topic", "named"}, {"topic", "named", "number"})
    assert fields["topic"] in ("a payment", "a delivery")


def section(title: str) -> str:
    return re.split(r"\n##+ ", PAGE.split(f"# {title}\n", 1)[1], maxsplit=1)[0]


def keys(text: str) -> set[str]:
    """The keys in the first columns of tables."""
    rows = re.findall(r"^\| (`.*?) \|", text, flags=re.MULTILINE)
    return {key for row in rows for key in re.findall(r"`(.*?)`", row)}


def fields(*schemas: type[Schema]) -> set[str]:
    return {field.alias or name for one in schemas for name, field in one.model_fields.items()}


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("The file", fields(schema.ProgramSchema)),
        ("Inputs", fields(schema.InputSchema)),
        ("Actions", fields(schema.ActionSchema) | {"type"}),
        ("Text", fields(schema.TextSchema) - fields(schema.ActionSchema) - {"type"}),
        (
            "Choices",
            fields(schema.ChooseSchema, choice_schema.ChoiceSchema, choice_schema.EachSchema)
            - (fields(schema.ActionSchema) - {"next"})
            - {"type"},
        ),
        ("Completions", fields(schema.CompleteSchema) - fields(schema.ActionSchema) - {"type"}),
        (
            "Groups",
            fields(schema.AskSchema, schema.ForEachSchema) - fields(schema.ActionSchema) - {"type"},
        ),
        ("Sets of tokens", set(OPERATIONS)),
    ],
)
def test_every_key_has_its_row(title: str, expected: set[str]) -> None:
    assert keys(section(title)) == expected


def test_the_features_of_templates_are_listed() -> None:
    rows = dict(re.findall(r"^\| (\w[\w ]*) \| (.*) \|$", section("Templates"), re.MULTILINE))
    named = {title: set(re.findall(r"`(\w+)`", row)) for title, row in rows.items()}
    assert named["filters"] == {name for name in make_filters() if not name.startswith("_")}
    assert named["tests"] - {"select"} == set(TESTS)
    assert named["methods of texts"] == METHODS[str]
    assert named["methods of mappings"] == METHODS[dict]


def test_the_limits_on_the_page_are_right() -> None:
    text = " ".join(section("Templates").split())
    bounds = (
        f"{MAX_WORK // 10**6} million characters",
        f"{MAX_SECONDS:g} seconds",
        f"{MAX_WORDS:,} words and signs",
        f"{MAX_FILE_BYTES // 2**20} MiB, {MAX_VALUES:,} values, {MAX_DEPTH} levels",
    )
    for bound in bounds:
        assert bound in text
