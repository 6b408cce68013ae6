"""JSON Schemas as constraints of texts, and as records: instances that each of them tells apart."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.schema_languages import forms_of, record_language, text_language
from tests.support.schema_suite import BEGIN, END, Counts, count_file, main, make_table

TEXT, WHOLE = {"type": "string"}, {"type": "integer"}


def record(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


#: (schema, instances that a record may be, instances that are not valid). Records have only the
#: keys that the schema names, and values of one type where it names none.
CASES: list[tuple[dict[str, Any], list[Any], list[Any]]] = [
    (record("a", a=WHOLE, b=TEXT), [{"a": 1}, {"b": "x", "a": -7}], [{}, {"b": "x"}, {"a": "1"}]),
    (record(a={"enum": ["x", "xy", 1.0]}), [{"a": "xy"}, {"a": 1}, {}], [{"a": "z"}, {"a": 11}]),
    ({"type": ["integer", "null"], "maximum": 20}, [20, -5, None], [21, "20"]),
    ({"type": "number", "multipleOf": 0.5}, [1.5, 2, -0.5], [1.25, "1.5"]),
    (
        {"type": "array", "items": {"anyOf": [WHOLE, TEXT]}, "minItems": 1, "maxItems": 2},
        [[1], ["a", 2]],
        [[], [1, 2, 3], [None]],
    ),
    ({"type": "array", "prefixItems": [WHOLE], "items": TEXT}, [[], [1, "a"]], [["a"], [1, 2]]),
    # What `items` and `additionalProperties` are beside is that of their own schema.
    (
        {"allOf": [{"prefixItems": [{"minimum": 3}]}], "items": {"minimum": 5}, "type": "array"},
        [[5], [5, 6]],
        [[3], [3, 5], [5, 4]],
    ),
    (
        {"allOf": [record(a=WHOLE)], "additionalProperties": TEXT, "type": "object"},
        [{}],
        [{"a": 1}],
    ),
    (
        {
            "allOf": [{"patternProperties": {"^a": WHOLE}}],
            "additionalProperties": TEXT,
            "type": "object",
        },
        [{}, {"b": "c"}],
        [{"a1": 1}, {"b": 2}],
    ),
    (
        {
            "$ref": "#/$defs/tree",
            "$defs": {"tree": record("v", v=WHOLE, n={"$ref": "#/$defs/tree"})},
        },
        [{"v": 1}, {"v": 1, "n": {"v": 2, "n": {"v": 3}}}],
        [{}, {"v": 1, "n": {}}],
    ),
    ({**TEXT, "pattern": "^a+$", "maxLength": 3}, ["a", "aaa"], ["", "aaaa", "b"]),
    ({**TEXT, "format": "date"}, ["2024-02-29", "1999-12-31"], ["2023-02-29", "1999-12-32"]),
    (
        {"type": "object", "additionalProperties": {**TEXT, "format": "date"}},
        [{}, {"x": "2024-02-29"}],
        [{"x": "2023-02-29"}],
    ),
]


@pytest.mark.parametrize("index", range(len(CASES)))
def test_texts_and_records_tell_valid_instances_from_others(index: int) -> None:
    schema, valid, invalid = CASES[index]
    for language in (text_language(schema), record_language(schema)):
        assert language is not None
        for instance in valid:
            assert any(map(language, forms_of(instance))), instance
        for instance in invalid:
            assert not any(map(language, forms_of(instance))), instance


def test_the_suite_is_counted_by_keyword(tmp_path: Path) -> None:
    cases = [
        {
            "schema": WHOLE,
            "tests": [
                {"description": "whole", "data": 1.0, "valid": True},
                {"description": "not whole", "data": 1.5, "valid": False},
            ],
        },
        {"schema": {"not": {}}, "tests": [{"description": "n", "data": 1, "valid": False}]},
    ]
    row = count_file("type", cases, show=False)
    assert row.schemas == 2
    assert row.text == row.record == Counts(schemas=1, valid=1, accepted=1, invalid=1, refused=1)
    assert "| `type` | 2 | 1 | 1 of 1 | 1 of 1 | 1 | 1 of 1 | 1 of 1 |" in make_table([row])
    folder = tmp_path / "suite" / "tests" / "draft2020-12"
    folder.mkdir(parents=True)
    (folder / "type.json").write_text(json.dumps(cases), encoding="utf-8")
    (folder / "format.json").write_text("[]", encoding="utf-8")
    with tarfile.open(tmp_path / "suite.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "suite", "suite")
    page = tmp_path / "page.md"
    for source in ("suite", "suite.tar.gz"):
        page.write_text(f"before {BEGIN} old {END} after", encoding="utf-8")
        main([str(tmp_path / source), "--write", str(page)])
        written = page.read_text(encoding="utf-8")
        assert written.startswith(f"before {BEGIN}\n| keyword |")
        assert written.endswith(f"{END} after")
        assert "| **all** | 2 | 1 |" in written
