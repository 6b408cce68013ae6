"""The published JSON Schemas are current, and accept the same files as the readers."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from autocog_core import Automaton, Budget, InputError
from autocog_core.program.schema import ProgramSchema
from autocog_core.schemas import FOLDER, SCHEMAS, schema_text
from autocog_core.types.thought_tree import ThoughtTree
from tests.program.generated_programs import programs
from tests.support.small_backends import random_model
from tests.support.soak import count

PROGRAM = Draft202012Validator(json.loads(schema_text("program")))
TREE = Draft202012Validator(json.loads(schema_text("tree")))


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_published_schema_is_current(name: str) -> None:
    text = (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    assert text == schema_text(name), "run `python -m autocog_core.schemas`"
    Draft202012Validator.check_schema(json.loads(text))


@settings(max_examples=50)
@given(programs())
def test_our_own_programs_are_valid(automaton: Automaton) -> None:
    PROGRAM.validate(automaton.to_dict())


@settings(max_examples=30)
@given(programs(runs=True), st.integers(0, 5))
def test_our_own_trees_are_valid(automaton: Automaton, seed: int) -> None:
    tree = automaton.run(random_model(seed=seed), budget=Budget(paths=40))
    data = json.loads(json.dumps(tree.to_dict()))
    TREE.validate(data)
    assert ThoughtTree.from_dict(data) == tree


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"stopped_by": "tired"},
        {"nodes": None},
        {"nodes": [{"uid": "a"}]},
        {"nodes": [{"uid": "a", "text": 1}]},
        {"nodes": [{"uid": "a", "text": "b", "tokens": ["1"]}]},
        {"nodes": [{"uid": "a", "text": "b", "pruned_by": "no"}]},
        {"nodes": [{"uid": "a", "text": "b", "finish_reason": "no"}]},
    ],
    ids=str,
)
def test_invalid_trees_are_rejected(change: dict[str, Any]) -> None:
    tree = Automaton.from_dict({"actions": [{"choices": ["a"]}]}).run(random_model())
    assert TREE.is_valid(tree.to_dict())
    assert not TREE.is_valid(tree.to_dict() | change)


#: A program with every key in it.
ALL: dict[str, Any] = {
    "$schema": "program.json",
    "autocog": 1,
    "description": "d",
    "inputs": {"a": "text", "b": {"type": "list", "default": [], "description": "x"}},
    "vocabs": {
        "t": {"tokens": ["a"]},
        "s": {"strings": ["a"]},
        "r": {"regex": "a"},
        "u": {"union": ["t", {"regex": "b"}]},
        "i": {"intersect": ["t", "s"]},
        "d": {"difference": ["t", "s"]},
        "c": {"complement": "t"},
    },
    "actions": [
        {"uid": "x", "type": "text", "text": "{{ a }}", "evaluate": True, "special": True},
        {"text": {"literal": "{{"}, "name": "n", "model": "m", "max_visits": 2, "metadata": {}},
        {"text": {"pieces": [{"text": "a", "special": True}]}, "next": "y"},
        {
            "uid": "y",
            "choices": [
                "a",
                {"text": "b", "next": "x"},
                {"literal": "c"},
                {"each": "b", "text": "{{ item }}", "next": None},
            ],
            "width": None,
            "threshold": 1,
            "threshold_on": "mean",
            "norm": "pmi",
            "suffix": "\n",
            "suffix_eos": False,
            "unconditional_prompt": "x",
        },
        {"choices": {"each": "b"}, "norm": "mean", "suffix_eos": True},
        {
            "length": 2,
            "stop": ["a", "b"],
            "beams": 2,
            "length_penalty": 0.5,
            "vocab": {"complement": {"union": ["t"]}},
            "eos": False,
        },
        {"length": 2, "stop": "a", "samples": 2, "temperature": 0.5, "top_p": 0.5, "seed": 1}
        | {"vocab": "t"},
        {"length": 2, "regex": "a+", "followed_by": "\n", "samples": 2, "importance_weights": True},
        {"length": 2, "grammar": 'start: "a"'},
        {"length": 2, "json_schema": {"type": "object", "properties": {"b": {}, "a": {}}}},
        {"length": 2, "json_schema": True},
        {
            "ask": [[{"text": "{{ l.n }}", "next": "z"}, {"uid": "z", "name": "q", "length": 1}]],
            "for_each": {"in": "b", "as": "l", "key": "l.n"},
            "name": "g",
            "next": "end",
        },
    ],
    "metadata": {"x": 1},
}


def accepted(data: Any) -> bool:
    """Whether the reader's schema accepts the data; names are not checked."""
    try:
        ProgramSchema.model_validate(data)
    except ValidationError:
        return False
    return True


def test_every_key_is_valid_and_read() -> None:
    assert PROGRAM.is_valid(ALL)
    assert accepted(ALL)
    with pytest.raises(InputError) as raised:
        Automaton.from_dict(ALL | {"actions": [*ALL["actions"], {"length": 0}]})
    # No other error.
    assert "length is 0" in str(raised.value)
    assert "\n" not in str(raised.value)


values = st.one_of(
    *(st.none(), st.booleans(), st.integers(-1, 3), st.sampled_from([0.5, -0.5])),
    st.sampled_from(["", "a", "text", "choose", "complete", "mean", "logprob", "prob", "end"]),
    st.lists(st.sampled_from(["a", 1, None, {"text": "a"}, {"each": "b"}]), max_size=2),
    st.dictionaries(
        st.sampled_from(["text", "literal", "each", "pieces", "next", "union", "regex", "x"]),
        st.one_of(st.sampled_from(["a", 1, None]), st.lists(st.just("a"), max_size=2)),
        max_size=2,
    ),
)


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in the data, but for the insides of metadata."""
    paths = [path]
    if isinstance(data, dict):
        for key, one in data.items():
            if key != "metadata":
                paths += places(one, (*path, key))
    elif isinstance(data, list):
        for number, one in enumerate(data):
            paths += places(one, (*path, number))
    return paths


PLACES = places(ALL)[1:]


@pytest.mark.slow
@settings(max_examples=count(normal=60, soak=600))
@given(st.sampled_from(PLACES), values, st.sampled_from(["put", "leave out", "add"]))
def test_the_schema_accepts_what_the_reader_accepts(
    path: tuple[Any, ...], value: Any, how: str
) -> None:
    data = copy.deepcopy(ALL)
    parent = data
    for key in path[:-1]:
        parent = parent[key]
    if how == "put":
        parent[path[-1]] = value
    elif how == "leave out":
        del parent[path[-1]]
    elif isinstance(parent, dict):
        parent["another"] = value
    assert PROGRAM.is_valid(data) == accepted(data)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"actions": []},
        {"actions": [{}]},
        {"actions": ["a"]},
        {"actions": [{"text": "a", "choices": ["a"]}]},
        {"actions": [{"type": "choose", "text": "a"}]},
        {"actions": [{"choices": []}]},
        {"actions": [{"choices": [{}]}]},
        {"actions": [{"choices": [{"text": "a", "literal": "b"}]}]},
        {"autocog": 2, "actions": [{"text": "a"}]},
        {"autocog": True, "actions": [{"text": "a"}]},
        {"inputs": {"a": "string"}, "actions": [{"text": "a"}]},
        {"vocabs": {"a": {"union": [], "regex": "a"}}, "actions": [{"text": "a"}]},
        {"vocabs": {"a": {"difference": ["b"]}}, "actions": [{"text": "a"}]},
    ],
    ids=str,
)
def test_invalid_programs_are_rejected_by_both(data: dict[str, Any]) -> None:
    assert not PROGRAM.is_valid(data)
    with pytest.raises(InputError):
        Automaton.from_dict(data)
