from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter
from typing_extensions import TypedDict

from autocog_core import InputError
from autocog_core.model.completion_arguments import make_completion_request, merge_arguments
from autocog_core.types.constraint import Constraint
from autocog_core.types.prompt import Prompt

PROMPT = Prompt.of("x")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_tokens", 0),
        ("max_tokens", -1),
        ("max_tokens", 2.0),
        ("max_tokens", "5"),
        ("max_tokens", True),
        ("max_new_tokens", 0),
        ("top_k", -1),
        ("n", 0),
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        pytest.param("temperature", 10**400, id="temperature-huge"),
        ("temperature", "hot"),
        ("temperature", False),
        ("top_p", 1.1),
        ("top_p", -0.1),
        ("min_p", 2),
        ("seed", -1),
        ("seed", 2**63),
        ("seed", 1.5),
        ("seed", True),
        ("stop", ""),
        ("stop", ["a", ""]),
        ("stop", [1]),
        ("stop", 5),
        ("stop", b"x"),
        ("stop", "\ud800"),
        ("regex", 5),
        ("regex", b"a"),
        ("regex", re.compile("a")),
        ("grammar", "\ud800"),
        ("json_schema", "{}"),
        ("json_schema", 5),
        ("json_schema", False),
        pytest.param("json_schema", {"enum": [float("nan")]}, id="json_schema-nan"),
        pytest.param("json_schema", {"enum": [object]}, id="json_schema-object"),
        pytest.param("json_schema", print, id="json_schema-function"),
        ("on_text", "print"),
        ("extra", 5),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(InputError) as caught:
        make_completion_request(PROMPT, {name: value})
    assert caught.value.where == {"max_new_tokens": "max_tokens"}.get(name, name)


class Pet(BaseModel):
    name: str
    age: int | None = None


@dataclass
class Toy:
    name: str


class Food(TypedDict):
    name: str


@pytest.mark.parametrize("schema", [Pet, Toy, Food, list[Pet], TypeAdapter(Pet).json_schema()])
def test_a_type_stands_for_its_schema(schema: Any) -> None:
    constraint = make_completion_request(PROMPT, {"json_schema": schema}).constraint
    expected = schema if isinstance(schema, dict) else TypeAdapter(schema).json_schema()
    assert constraint == Constraint(kind="json_schema", source=json.dumps(expected))


def test_a_text_has_one_constraint() -> None:
    with pytest.raises(InputError, match=r"^regex: give one of regex, json_schema, not several"):
        make_completion_request(PROMPT, {"regex": "a", "json_schema": True})
    # That of a call replaces the default, of whatever kind; None leaves it.
    merged = merge_arguments({"json_schema": True, "n": 2}, {"regex": "a", "grammar": None})
    assert make_completion_request(PROMPT, merged).constraint == Constraint(
        kind="regex", source="a"
    )
    assert make_completion_request(PROMPT, merge_arguments(merged, {"grammar": None})).constraint
    removed = merge_arguments(merged, {"regex": None})
    assert make_completion_request(PROMPT, removed).constraint is None
    # Nobody gives the object itself: it is no argument, which the backend says.
    assert "constraint" in make_completion_request(PROMPT, {"constraint": "a"}).extra


def test_names_that_core_does_not_know_become_extra() -> None:
    request = make_completion_request(PROMPT, {"logit_bias": {1: 2}, "extra": {"penalty": 1.0}})
    assert request.extra == {"logit_bias": {1: 2}, "penalty": 1.0}


def test_none_means_the_default() -> None:
    request = make_completion_request(PROMPT, {"max_tokens": None, "stop": None, "penalty": None})
    assert request == make_completion_request(PROMPT, {})


@pytest.mark.parametrize(
    ("given_stops", "expected"), [("\n", ("\n",)), (["b", "a", "b"], ("b", "a")), ((), ())]
)
def test_stops_are_one_text_or_several_each_once_in_order(
    given_stops: Any, expected: tuple[str, ...]
) -> None:
    assert make_completion_request(PROMPT, {"stop": given_stops}).stop == expected


def test_max_new_tokens_is_another_name_of_max_tokens() -> None:
    assert make_completion_request(PROMPT, {"max_new_tokens": 3}).max_tokens == 3


def test_several_completions_cannot_be_streamed() -> None:
    with pytest.raises(InputError, match=r"^n:"):
        make_completion_request(PROMPT, {"n": 2, "on_text": print})


def test_engines_own_names_work_on_every_backend() -> None:
    given = make_completion_request(Prompt(()), {"max_new_tokens": 7, "repeat_penalty": 1.2})
    assert given.max_tokens == 7
    assert given.extra == {"repetition_penalty": 1.2}
