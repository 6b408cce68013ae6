"""What texts a JSON Schema allows, and where its errors are said to be."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from autocog_core.constraints.json_schema import complete_keywords, subschemas
from autocog_core.constraints.language import check_constraint, matches
from autocog_core.constraints.schema_recursion import find_endless_reference
from autocog_core.types.constraint import Constraint
from tests.support.soak import count

LIST = {"type": "array"}
TEXT = {"type": "string"}
WHOLE = {"type": "integer"}


def constraint(schema: dict[str, Any] | bool) -> Constraint:
    found = Constraint.from_arguments(json_schema=schema)
    assert found is not None
    return found


def refusal(schema: dict[str, Any] | bool) -> str:
    name = "the JSON Schema cannot be used: "
    return check_constraint(constraint(schema)).removeprefix(name)


def record(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


#: (schema, texts that it allows, texts that it does not).
CASES: list[tuple[dict[str, Any], list[str], list[str]]] = [
    ({"type": ["null", "boolean"]}, ["null", "true"], ["0", '"null"', "[]"]),
    (WHOLE, ["0", "-12"], ["1.5", "01", "+1", '"1"']),
    ({**WHOLE, "minimum": -2, "maximum": 12}, ["-2", "0", "12"], ["-3", "13", "1.5"]),
    ({**WHOLE, "exclusiveMinimum": 3, "multipleOf": 4}, ["4", "16"], ["3", "5", "0"]),
    ({"type": "number", "exclusiveMaximum": 0.5}, ["0.4999", "-7"], ["0.5", "0.51", "1"]),
    ({"type": "number", "multipleOf": 0.25}, ["0.50", "3", "1.75"], ["0.3", "0.125"]),
    ({**TEXT, "minLength": 2.0, "maxLength": 3}, ['"ab"', '"éèê"'], ['"a"', '"abcd"']),
    ({**TEXT, "pattern": "b"}, ['"abc"', '"b"'], ['"a"', '""', "7"]),
    ({**TEXT, "pattern": "^[ab]+$"}, ['"abba"'], ['"abc"', '""']),
    ({**TEXT, "pattern": r"^\S\s$"}, ['"a "', '"a\u3000"'], ['"\ufeff "', '"a\x85"']),
    ({**TEXT, "pattern": r"^\d\w$"}, ['"1a"', '"0_"'], ['"१a"', '"1é"']),
    ({"enum": ["a", 1, None]}, ['"a"', "1", "null"], ['"b"', "2", "true"]),
    ({"const": {"b": [1, 2]}}, ['{"b": [1, 2]}'], ['{"b": [1]}', "{}"]),
    (
        {**LIST, "items": WHOLE, "minItems": 1, "maxItems": 2},
        ["[1]", "[1, 2]"],
        ["[]", "[1, 2, 3]"],
    ),
    ({**LIST, "items": WHOLE, "uniqueItems": False}, ["[1, 1]"], ['["a"]']),
    ({**LIST, "prefixItems": [WHOLE, TEXT], "items": False}, ['[1, "a"]', "[1]"], ["[1, 2]"]),
    (
        record(a=WHOLE, b=TEXT),
        ["{}", '{"a": 1, "b": "x"}', '{"b": "x"}'],
        ['{"c": 1}', '{"a": "1"}'],
    ),
    ({**record(a=WHOLE), "required": ["a"]}, ['{"a": 1}'], ["{}"]),
    ({"type": "object", "additionalProperties": WHOLE}, ["{}", '{"x": 1}'], ['{"x": "1"}']),
    (
        {"type": "object", "patternProperties": {r"^n\d$": WHOLE}, "additionalProperties": TEXT},
        ['{"n1": 5}', '{"m": "a"}'],
        ['{"n1": "a"}', '{"m": 5}'],
    ),
    ({"type": "object", "minProperties": 1, "maxProperties": 1.0}, ['{"a": 1}'], ["{}"]),
    ({"anyOf": [WHOLE, {**TEXT, "maxLength": 1}]}, ["1", '"a"'], ['"ab"', "1.5"]),
    ({"oneOf": [{"const": 1}, {"type": "null"}]}, ["1", "null"], ["2"]),
    ({"allOf": [{**TEXT, "pattern": "^a"}, {"pattern": "b$"}]}, ['"ab"', '"acb"'], ['"a"', '"b"']),
    (
        {"$ref": "#/$defs/tree", "$defs": {"tree": {**LIST, "items": {"$ref": "#/$defs/tree"}}}},
        ["[]", "[[], [[]]]"],
        ["[1]", "{}"],
    ),
    # Formats, the invalid dates and times included that no short expression excludes.
    (
        {**TEXT, "format": "date"},
        ['"2024-02-29"', '"1999-12-31"'],
        ['"2023-02-29"', '"1900-02-29"'],
    ),
    ({**TEXT, "format": "time"}, ['"23:59:59Z"'], ['"23:59"', '"22:59:60Z"', '"24:00:00Z"']),
    (
        {**TEXT, "format": "date-time", "pattern": "^20"},
        ['"2024-02-29T00:00:00Z"'],
        ['"2023-02-29T00:00:00Z"', '"2024-01-01T22:59:60Z"', '"1999-01-01T00:00:00Z"'],
    ),
    ({**TEXT, "format": "uuid"}, ['"123e4567-e89b-12d3-a456-426614174000"'], ['"123e4567"']),
    ({**TEXT, "format": "email"}, ['"a.b@example.org"'], ['"a.b"', '"@b.org"']),
    ({**TEXT, "format": "ipv4"}, ['"192.0.2.1"'], ['"192.0.2.256"']),
    # Names of properties are no keywords.
    (
        record(format={"const": "date"}, uniqueItems=WHOLE),
        ['{"format": "date"}'],
        ['{"format": 1}'],
    ),
]


@pytest.mark.parametrize("index", range(len(CASES)))
def test_texts_are_those_that_the_schema_allows(index: int) -> None:
    schema, allowed, forbidden = CASES[index]
    checker = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    assert not refusal(schema)
    for text in allowed:
        assert matches(constraint(schema), text), text
        assert checker.is_valid(json.loads(text)), text
    for text in forbidden:
        assert not matches(constraint(schema), text), text


NOTHING = {**WHOLE, "minimum": 5, "maximum": 3}
#: (schema, why it is refused).
REFUSED: list[tuple[dict[str, Any] | bool, str]] = [
    ({**LIST, "uniqueItems": True}, '"uniqueItems" is not supported'),
    (record(a=LIST | {"contains": WHOLE}), '#/properties/a: "contains" is not supported'),
    (record(a=record(b={"not": WHOLE})), '#/properties/a/properties/b: "not" is not supported'),
    ({"if": {}, "then": WHOLE}, '"if", "then" are not supported'),
    ({"dependentRequired": {"a": ["b"]}}, '"dependentRequired" is not supported'),
    (
        record(**{"a/b": {"$ref": "#/$defs/c"}}) | {"$defs": {"c": {"propertyNames": TEXT}}},
        '#/$defs/c: "propertyNames" is not supported',
    ),
    ({**LIST, "items": {"format": "color"}}, '#/items: the format "color" is not supported'),
    ({**LIST, "items": {"oneOf": [WHOLE, {"type": "number"}]}}, "#/items: oneOf: the alternatives"),
    ({**TEXT, "pattern": "(?=a)b"}, "look-around"),
    ({"$ref": "https://example.org/schema"}, "is in another document, which is not read"),
    ({"$ref": "#/$defs/none"}, '$ref: "#/$defs/none" points to no schema'),
    (record(a=NOTHING) | {"required": ["a"]}, "#/properties/a: no value is valid: minimum (5)"),
    ({**LIST, "items": NOTHING, "minItems": 1}, "#/items: no value is valid: minimum (5)"),
    (
        {**TEXT, "pattern": "^a{3}$", "maxLength": 2},
        "no string has its pattern, format and lengths",
    ),
    (False, "no value is valid: schema is false"),
    ({"type": "strnig"}, "Invalid type: strnig"),
    ({"x-guidance": {"lenient": True}, "not": {}}, 'has the option "lenient" of llguidance'),
    ({"x-guidance": {"item_separator": "; "}}, 'item_separator must be "," and blanks'),
]


@pytest.mark.parametrize("index", range(len(REFUSED)))
def test_what_is_not_served_is_refused_with_its_place(index: int) -> None:
    schema, message = REFUSED[index]
    assert message in refusal(schema)


def test_sources_that_are_no_schema_are_refused() -> None:
    for source, message in (
        ("{", "is not JSON"),
        ("5", "must be an object or a boolean"),
        ('{"items": ' * 5000 + "{}" + "}" * 5000, "nested too deeply"),
        ('{"items": ' * 300 + "{}" + "}" * 300, "nested too deeply"),
    ):
        assert message in check_constraint(Constraint(kind="json_schema", source=source))


def test_the_place_of_an_error_is_found_in_bounded_time() -> None:
    properties = {f"p{index}": record(a=WHOLE, b=TEXT) for index in range(1_500)}
    begun = time.process_time()
    message = refusal(record(**properties, last={"not": WHOLE}))
    assert '"not" is not supported' in message
    assert time.process_time() - begun < 5


def test_schemas_that_need_no_change_stay_as_they_are() -> None:
    schema = {
        "title": "t",
        "enum": [{"format": "date"}],
        "properties": {"format": {"default": 1.0}},
    }
    assert complete_keywords(schema) == schema
    assert list(subschemas(schema)) == [("/properties/format", {"default": 1.0})]


# -- values that never end


NAMES = ("a", "b", "c")


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    items, sizes = st.lists(inner, min_size=1, max_size=2), st.integers(0, 2)
    required = st.sampled_from([[], ["x"], ["y"], ["x", "y"]])
    return st.one_of(
        items.map(lambda parts: {"anyOf": parts}),
        st.tuples(items, inner, sizes).map(
            lambda p: {**LIST, "prefixItems": p[0], "items": p[1], "minItems": p[2]}
        ),
        st.tuples(inner, inner, required, sizes).map(
            lambda p: {
                "type": "object",
                "properties": {"x": p[0]},
                "additionalProperties": p[1],
                "required": p[2],
                "minProperties": p[3],
            }
        ),
    )


_references = st.sampled_from([{"$ref": f"#/$defs/{name}"} for name in NAMES])
_parts = st.recursive(st.one_of(_references, st.just({"type": "null"})), _containers, max_leaves=3)
recursive_schemas = st.tuples(*[_containers(_parts)] * 3).map(
    lambda parts: {"$ref": "#/$defs/a", "$defs": dict(zip(NAMES, parts, strict=True))}
)


def value_within(root: dict[str, Any], schema: dict[str, Any], depth: int) -> tuple[Any] | None:
    """Return a value of a schema whose references are followed at most so deep; None if none is."""
    if "$ref" in schema:
        if not depth:
            return None
        return value_within(root, root["$defs"][schema["$ref"].rpartition("/")[2]], depth - 1)
    if "anyOf" in schema:
        values = (value_within(root, part, depth) for part in schema["anyOf"])
        return next((value for value in values if value is not None), None)
    if schema["type"] == "null":
        return (None,)
    if schema["type"] == "array":
        items = [*schema["prefixItems"], *[schema["items"]] * 2][: schema["minItems"]]
        values = [value_within(root, item, depth) for item in items]
        return None if None in values else ([value[0] for value in values if value],)
    entries: dict[str, Any] = {}
    for name in ("x", "y", "z"):
        is_needed = name in schema["required"] or len(entries) < schema["minProperties"]
        part = schema["properties"].get(name, schema["additionalProperties"])
        value = value_within(root, part, depth) if is_needed else None
        if value is not None:
            entries[name] = value[0]
        elif name in schema["required"]:
            return None
    return (entries,) if len(entries) >= schema["minProperties"] else None


#: Of its two keys, only one may have a finite value.
FEW_FINITE_KEYS = {
    "type": "object",
    "properties": {"x": {"type": "null"}},
    "additionalProperties": {"$ref": "#/$defs/a"},
    "required": [],
    "minProperties": 2,
}


def test_schemas_without_a_finite_value_equal_those_for_which_none_can_be_built() -> None:
    seen = set()

    @settings(max_examples=count(normal=40, soak=5000), database=None)
    @given(recursive_schemas)
    @example({"$ref": "#/$defs/a", "$defs": {"a": FEW_FINITE_KEYS}})
    def check(schema: dict[str, Any]) -> None:
        # If there is a value at all, one needs no reference inside itself: three are enough.
        value = value_within(schema, schema, 3)
        reference = find_endless_reference(schema)
        assert (value is None) == bool(reference)
        seen.add(value is None)
        # The validator follows references to themselves without end.
        with contextlib.suppress(RecursionError):
            if value is not None:
                Draft202012Validator(schema).validate(value[0])

    check()
    assert seen == {True, False}
    endless = {**record(a={"$ref": "#"}), "required": ["a"]}
    message = 'the JSON Schema allows no finite text: each value of "#" contains another one'
    assert check_constraint(constraint(endless)) == message
    # A value that is no object has no properties.
    assert not check_constraint(
        constraint({key: endless[key] for key in ("properties", "required")})
    )
