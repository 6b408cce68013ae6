"""What a JSON Schema compiles to, and what is refused, with its path."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from autocog_core import InputError
from autocog_core.automaton import Choose, Complete
from autocog_core.automaton.choices import texts_of
from autocog_core.records import CompiledRecord, JsonStyle, Limits, compile_record
from autocog_core.records.parts import Document

A = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "required": ["a"]}
REFUSED: dict[str, tuple[Any, str]] = {
    "not": ({"not": {}}, '"not" is not supported'),
    "if": ({"if": {}, "then": {}}, '"if", "then" are not supported'),
    "contains": ({"type": "array", "contains": {}}, '"contains" is not supported'),
    "names": ({"type": "object", "propertyNames": {}}, '"propertyNames" is not supported'),
    "unique": ({"type": "array", "uniqueItems": True}, "uniqueItems is not supported"),
    "type": ({"type": "str"}, 'unknown type .str.; did you mean "string"'),
    "types": ({"type": []}, "type: expected at least one"),
    "no alternative": ({"anyOf": [False]}, "anyOf: `false` allows no value"),
    "list": ([1], "expected a schema, got"),
    "bounds": ({"type": "integer", "minimum": 5, "maximum": 3}, "minimum 5 is above maximum 3"),
    "between": (
        {"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2},
        "no number is within the bounds",
    ),
    "nowhere": (
        {"type": "number", "minimum": 1, "exclusiveMaximum": 1},
        "no number is within the bounds",
    ),
    "huge": ({"type": "number", "minimum": 1e300}, "more than 100 digits"),
    "boolean bound": ({"type": "number", "exclusiveMinimum": True}, "expected a number"),
    "step": ({"type": "number", "multipleOf": 0}, "expected a number above 0"),
    "lengths": ({"minLength": 3, "maxLength": 2}, "minLength 3 is above maxLength 2"),
    "negative": ({"minLength": -1}, "expected a whole number of at least 0"),
    "format": ({"type": "string", "format": "iri"}, 'format "iri" is not supported; known: date'),
    "items": (
        {"type": "array", "minItems": 2, "maxItems": 1},
        "no list is valid: it has at least 2 and at most 1 items",
    ),
    "many items": ({"type": "array", "minItems": 21}, "max_items is 20; give a larger max_items"),
    "enum": ({"enum": []}, "enum: no value is valid"),
    "type of enum": ({"enum": [1], "type": [[]]}, "type: expected a name, got"),
    "length of enum": ({"enum": ["a"], "minLength": "1"}, "minLength: expected a whole number"),
    "bound of enum": ({"enum": [1], "minimum": None}, "minimum: expected a number, got None"),
    "pattern of enum": ({"enum": ["a"], "pattern": 1}, "pattern: expected a text"),
    "wrong pattern": ({"enum": ["a"], "pattern": "(a"}, "the pattern is not valid: missing"),
    "enum of type": ({"enum": [1], "type": "string"}, "enum: no value is valid"),
    "forbidden": (
        {"properties": {"b": False}, "required": ["b"]},
        'the required key "b" is forbidden',
    ),
    "closed": (
        {"properties": {}, "required": ["b"], "additionalProperties": False},
        'the required key "b" is forbidden',
    ),
    "overlap": (
        {"oneOf": [{"type": "integer"}, {"type": "number"}]},
        "oneOf: the alternatives may overlap",
    ),
    "elsewhere": ({"$ref": "https://example.org/a.json"}, "is not in this schema"),
    "nothing there": ({"$ref": "#/$defs/B"}, "points to no schema"),
    "endless": ({"$ref": "#/$defs/A"}, "contains itself without end"),
    "circle": ({"$ref": "#/$defs/C"}, "contains itself without end"),
    "grammar too large": (
        {"type": "object", "additionalProperties": {"enum": ["a" * 300_000]}},
        "characters; the limit is",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_served_is_refused_with_its_path(name: str) -> None:
    schema, message = REFUSED[name]
    whole = {
        "type": "object",
        "properties": {"items": {"type": "array", "items": {"properties": {"x": schema}}}},
        "$defs": {"A": A, "C": {"$ref": "#/$defs/D"}, "D": {"anyOf": [{"$ref": "#/$defs/C"}]}},
    }
    with pytest.raises(InputError, match=message) as error:
        compile_record(whole)
    assert error.value.where == "items[].x"


def test_hostile_schemas_end_soon() -> None:
    definitions: dict[str, Any] = {"D30": {"type": "string"}}
    for level in range(30):
        target = {"$ref": f"#/$defs/D{level + 1}"}
        definitions[f"D{level}"] = {"properties": dict.fromkeys("abcdefgh", target)}
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(900):
        deep = {"type": "array", "items": deep}
    lists: dict[str, Any] = {"type": "string"}
    for _ in range(5):
        lists = {"type": "array", "items": lists, "maxItems": 20}
    start = time.monotonic()
    for schema, message in (
        ({"$ref": "#/$defs/D0", "$defs": definitions}, "has more than 5,000 parts"),
        (deep, "nested"),
        (lists, "has more than 10,000 actions"),
        ({"enum": list(range(10_001))}, "more than 10,000 values"),
        ({"const": "\ud800"}, "is not JSON"),
        ({"const": float("nan")}, "is not JSON"),
    ):
        with pytest.raises(InputError, match=message):
            compile_record(schema)
    assert time.monotonic() - start < 20


def choices_of(record: CompiledRecord) -> dict[str, list[str]]:
    return {
        action.uid: [texts_of(choice)[0] for choice in action.choices]
        for action in record.actions
        if isinstance(action, Choose)
    }


def test_choices_are_the_shortest_texts_that_say_what_comes() -> None:
    schema = {
        "properties": {
            "code": {"enum": ["1", "10", 10, None]},
            "note": {"type": ["string", "null"]},
            "size": {"type": "integer", "minimum": 0, "maximum": 2},
            "tags": {"type": "array", "items": {"enum": ["x", "y"]}, "maxItems": 2},
        },
        "required": ["code", "tags"],
    }
    assert choices_of(compile_record(schema)) == {
        "code": [' "1', ' "10', " 10", " null"],
        "keys~2": [', "note', ', "size', ', "tags'],
        "keys": [', "size', ', "tags'],
        "note/kind": [' "', " null"],
        "size": [" 0", " 1", " 2"],
        "tags/any": [' ["', " []}"],
        "tags[0]": ["x", "y"],
        "tags/more": [', "', "]}"],
        "tags[1]": ["x", "y"],
    }
    # After the second tag, nothing is left to choose.
    values = {
        action.uid: action.texts.values
        for action in compile_record(schema).actions
        if isinstance(action, Choose)
    }
    assert values["code"] == ('"1"', '"10"', "10", "null")
    assert values["size"] == (0, 1, 2)


def test_objects_are_distinguished_by_a_constant_or_by_their_first_keys() -> None:
    def pet(kind: Any, **others: Any) -> dict[str, Any]:
        properties = {**others, "kind": kind}
        return {"type": "object", "properties": properties, "required": list(properties)}

    number = {"type": "integer"}
    cats = pet({"enum": ["cat", "cats"]}, lives=number)
    schema = {"oneOf": [cats, pet({"const": "dog"}, age=number), {"type": "null"}]}
    assert choices_of(compile_record(schema))["value/kind"] == [
        '{"kind": "cat',
        '{"kind": "cats',
        '{"kind": "dog',
        "null",
    ]
    by_keys = {"anyOf": [{"properties": {key: number}, "required": [key]} for key in "ab"]}
    assert choices_of(compile_record(by_keys))["value/kind"] == ['{"a', '{"b']


def test_what_cannot_be_split_is_one_text() -> None:
    node = {
        "type": "object",
        "properties": {
            "name": {"enum": ["x"]},
            "inner": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
        },
        "required": ["name"],
    }
    for schema in (
        {"$ref": "#/$defs/Node", "$defs": {"Node": node}},
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"anyOf": [{"type": "integer"}, {"type": "array"}]},
        {"type": "integer", "multipleOf": 7},
        {"anyOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]},
        {},
    ):
        record = compile_record(schema)
        documents = [
            action
            for action in record.actions
            if isinstance(action, Complete) and (action.json_schema or action.grammar)
        ]
        assert documents, schema
    assert isinstance(compile_record({}).part, Document)


@pytest.mark.parametrize(
    ("style", "text"),
    [
        (JsonStyle(), '{"a": 1, "b c": ["x"], "d": {}}'),
        (JsonStyle(item_separator=",", key_separator=":"), '{"a":1,"b c":["x"],"d":{}}'),
        (JsonStyle(quote_keys=False), '{a: 1, "b c": ["x"], d: {}}'),
    ],
)
def test_styles_differ_in_separators_and_quotes(style: JsonStyle, text: str) -> None:
    value = {"a": 1, "b c": ["x"], "d": {}}
    schema = {
        "properties": {
            "a": {"const": 1},
            "b c": {"type": "array", "items": {"const": "x"}, "minItems": 1, "maxItems": 1},
            "d": {"properties": {}},
        },
        "required": list(value),
    }
    (action,) = compile_record(schema, style).actions
    assert getattr(action, "text", "") == text


def test_all_keys_can_be_written() -> None:
    schema = {"properties": {"a": {"const": 1}, "b": {"enum": [1, 2]}}}
    assert choices_of(compile_record(schema)) == {
        "keys~2": ['"a', '"b', "}"],
        "keys": [', "b', "}"],
        "b": [" 1", " 2"],
    }
    style = JsonStyle(write_all_keys=True)
    assert choices_of(compile_record(schema, style)) == {"b": [" 1", " 2"]}


@pytest.mark.parametrize("separator", ["", ";", ", ,"])
def test_separators_have_their_sign(separator: str) -> None:
    with pytest.raises(InputError, match="give a comma"):
        JsonStyle(item_separator=separator)


def test_limits_are_positive() -> None:
    with pytest.raises(InputError, match="max_items is 0: give 1 or more"):
        Limits(max_items=0)
    record = compile_record({"type": "string", "maxLength": 300}, limits=Limits())
    text = next(action for action in record.actions if isinstance(action, Complete))
    assert text.length == 301


def test_allof_and_references_are_merged() -> None:
    schema = {
        "allOf": [{"$ref": "#/$defs/Small"}, {"maximum": 3}],
        "minimum": 2,
        "$defs": {"Small": {"type": "integer", "minimum": 0, "maximum": 9}},
    }
    assert choices_of(compile_record(schema)) == {"value": ["2", "3"]}
    assert json.loads('"x"') == "x"
