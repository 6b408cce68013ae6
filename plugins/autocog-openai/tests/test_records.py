"""Records on servers: one text by structured outputs, whose numbers are missing and said to be."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import BaseModel, Field

from autocog_core import Automaton, CapabilityError, Record, Text
from tests.support.openai.servers.connect import Connect
from tests.support.openai.servers.generic import Generic
from tests.support.openai.servers.openai_api import CHAT, OpenAIServer
from tests.support.openai.servers.vllm import VLLM


class Order(BaseModel):
    """A type, as users of OpenAI's SDK give it."""

    color: Literal["red", "green"]
    count: int = Field(ge=0, le=99)
    paid: bool


@pytest.mark.parametrize("make", [VLLM, Generic, OpenAIServer])
def test_a_type_comes_back_as_an_instance_without_probabilities(
    connect: Connect, connect_chat: Connect, make: type
) -> None:
    if make is VLLM:
        model = connect(make()).as_model()
    elif make is Generic:
        model = connect_chat(make()).as_model()
    else:
        model = connect_chat(make(), model=CHAT, server="openai").as_model()
    record = model.record(messages=[{"role": "user", "content": "Two red ones."}], schema=Order)
    assert isinstance(record.value, Order)
    assert record.prob is None
    assert not record.exact
    assert "token distributions" in record.reason
    assert set(record.fields) == {"color", "count", "paid"}
    assert all(field.prob is None for field in record.fields.values())
    assert str(record).endswith("-")
    with pytest.raises(CapabilityError, match="style of records needs token distributions"):
        model.record("x", Order, style="Color: {color}")


def test_records_in_programs(connect: Connect) -> None:
    model = connect(VLLM()).as_model()
    automaton = Automaton(
        [
            Text(uid="t", text="It is", successors=("r",)),
            Record(uid="r", name="r", schema=Order),
        ]
    )
    tree = automaton.run(model, strategy="text")
    assert Order.model_validate(tree.fields["r"])
    (end,) = (node for node in tree.best().nodes if node.kind == "record")
    assert not end.exact
    flat = Automaton(
        [
            Text(uid="t", text="It", successors="r"),
            Record(uid="r", name="r", schema=Order, flat=True),
        ]
    )
    with pytest.raises(CapabilityError, match="its flat needs a backend with token distributions"):
        flat.run(model, strategy="text")


def test_a_server_without_structured_outputs_is_refused(connect: Connect) -> None:
    model = connect(VLLM(structured=False)).as_model()
    with pytest.raises(CapabilityError, match="records need token distributions"):
        model.record("It is", Order)
