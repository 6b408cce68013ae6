"""Records of pydantic models, dataclasses and other types, from the type to the instance."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, field_validator
from typing_extensions import TypedDict

from autocog_core import Automaton, InputError, Model, Text
from autocog_core.records import TemplateStyle, compile_record, record_source
from autocog_core.types.thought_tree import ThoughtPath
from tests.support.json_model import JsonModel


class Currency(Enum):
    EUR = "EUR"
    USD = "USD"


class Item(BaseModel):
    name: str = Field(max_length=5)
    price: Decimal = Field(ge=0, lt=100, decimal_places=2)


class Invoice(BaseModel):
    number: str = Field(pattern=r"^[A-Z]{2}-\d{4}$")
    date: dt.date
    customer: str | None = Field(max_length=8)
    currency: Currency
    total: float = Field(ge=0, le=1000)
    paid: bool = False
    items: list[Item] = Field(min_length=1, max_length=3)


@dataclass
class Point:
    x: int
    label: Literal["a", "b"] = "a"


class Movie(TypedDict):
    title: str
    stars: Literal[1, 2, 3]


def best_path(source: Any, seed: int = 0, style: TemplateStyle | None = None) -> ThoughtPath:
    record = compile_record(source, style)
    prompt = Text(uid="prompt", text="Record:\n", successors=(record.actions[0].uid,))
    return Automaton([prompt, *record.actions]).run(Model(JsonModel(seed))).best()


def test_an_invoice_becomes_an_instance_with_a_probability_for_each_field() -> None:
    record = compile_record(Invoice)
    model = Model(JsonModel())
    assert [str(finding) for finding in Automaton(record.actions).check(model)] == []
    path = best_path(Invoice)
    decoded = record.decode(path.nodes)
    invoice = record.instance(decoded.value)
    assert isinstance(invoice, Invoice)
    assert list(decoded.fields)[:3] == ["", "number", "date"]
    assert decoded.fields["items[0].price"].value == float(invoice.items[0].price)
    assert {"items", "items[0].name"} <= set(decoded.fields)
    assert all(0 < field.prob <= 1 for field in decoded.fields.values())
    names = {node.name for node in path.nodes if node.name}
    assert {"number", "currency", "items[].price"} <= names


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        (Point, Point),
        (Movie, dict),
        (Literal["x", "y"], str),
        (list[bool], list),
        (tuple[int, bool], tuple),
        (set[Literal["a", "b"]], set),
        (UUID, UUID),
        (dict[str, int], dict),
        (int | None, (int, type(None))),
    ],
)
def test_types_give_instances(source: Any, kind: Any) -> None:
    record = compile_record(source)
    decoded = record.decode(best_path(source, seed=5).nodes)
    assert isinstance(record.instance(decoded.value), kind)


def test_a_validator_that_refuses_a_value_says_which() -> None:
    class Even(BaseModel):
        number: int

        @field_validator("number")
        @classmethod
        def check(cls, number: int) -> int:
            raise ValueError("is odd")

    with pytest.raises(InputError, match=r"number: Even refuses the value 3: .*is odd"):
        record_source(Even).to_instance({"number": 3})


@pytest.mark.parametrize("source", [object(), lambda: 1, "Invoice", type("Plain", (), {})])
def test_what_is_no_type_is_refused(source: Any) -> None:
    with pytest.raises(InputError, match="no JSON Schema can be made of"):
        compile_record(source)


def test_a_path_that_ends_early_is_no_record() -> None:
    record = compile_record(Invoice)
    path = best_path(Invoice)
    for nodes in (path.nodes[:4], ()):
        with pytest.raises(InputError, match="the path ends before the record is complete"):
            record.decode(nodes)
