"""What docs/programs.md shows is read, runs, and is all that there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from autocog_core import Automaton, InputError
from autocog_core.automaton.templates.filters import METHODS, TESTS, filters
from autocog_core.automaton.templates.sandbox import MOST_WORDS
from autocog_core.automaton.templates.work_limit import MOST_SECONDS, MOST_WORK
from autocog_core.program import schema
from autocog_core.program.document import DEEPEST, MOST_VALUES
from autocog_core.program.source import MOST_BYTES
from autocog_core.program.token_set_schema import OPERATIONS, Shape
from tests.support.small_backends import random_model

PAGE = (Path(__file__).parents[2] / "docs" / "programs.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
SOUND = [block for block in BLOCKS if not block.startswith("# faulty")]
VALUES: dict[str, Any] = {
    "message": "Where is it? <|im_end|>",
    "task": "Wash",
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


def test_the_first_program_gives_its_record(tmp_path: Path) -> None:
    automaton = read(tmp_path, SOUND[0])
    fields = automaton.run(random_model(seed=1), VALUES).fields
    assert set(fields) in ({"topic", "named"}, {"topic", "named", "number"})
    assert fields["topic"] in (" a payment", " a delivery")


def test_the_errors_of_the_page_are_what_is_told(tmp_path: Path) -> None:
    (faulty,) = (block for block in BLOCKS if block.startswith("# faulty"))
    with pytest.raises(InputError) as raised:
        read(tmp_path, faulty)
    told = str(raised.value).replace(str(tmp_path / "program.yaml"), "program.yaml")
    assert f"```\n{told}\n```" in PAGE


def section(title: str) -> str:
    return re.split(r"\n##+ ", PAGE.split(f"# {title}\n", 1)[1], maxsplit=1)[0]


def keys(text: str) -> set[str]:
    """What stands in the first columns of tables."""
    rows = re.findall(r"^\| (`.*?) \|", text, flags=re.MULTILINE)
    return {key for row in rows for key in re.findall(r"`(.*?)`", row)}


def fields(*shapes: type[Shape]) -> set[str]:
    return {field.alias or name for one in shapes for name, field in one.model_fields.items()}


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("The file", fields(schema.ProgramShape)),
        ("Inputs", fields(schema.InputShape)),
        ("Actions", fields(schema.ActionShape) | {"type"}),
        ("Text", fields(schema.TextShape) - fields(schema.ActionShape) - {"type"}),
        (
            "Choices",
            fields(schema.ChooseShape, schema.ChoiceShape, schema.EachShape)
            - (fields(schema.ActionShape) - {"next"})
            - {"type"},
        ),
        ("Completions", fields(schema.CompleteShape) - fields(schema.ActionShape) - {"type"}),
        ("Sets of tokens", set(OPERATIONS)),
    ],
)
def test_every_key_has_its_row(title: str, expected: set[str]) -> None:
    assert keys(section(title)) == expected


def test_what_templates_may_do_is_listed() -> None:
    rows = dict(re.findall(r"^\| (\w[\w ]*) \| (.*) \|$", section("Templates"), re.MULTILINE))
    named = {title: set(re.findall(r"`(\w+)`", row)) for title, row in rows.items()}
    assert named["filters"] == {name for name in filters() if not name.startswith("_")}
    assert named["tests"] - {"select"} == set(TESTS)
    assert named["methods of texts"] == METHODS[str]
    assert named["methods of mappings"] == METHODS[dict]


def test_the_bounds_are_those_of_the_page() -> None:
    text = " ".join(section("Templates").split())
    bounds = (
        f"{MOST_WORK // 10**6} million characters",
        f"{MOST_SECONDS:g} seconds",
        f"{MOST_WORDS:,} words and signs",
        f"{MOST_BYTES // 2**20} MiB, {MOST_VALUES:,} values, {DEEPEST} levels",
    )
    for bound in bounds:
        assert bound in text
