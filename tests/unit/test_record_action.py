"""The action `Record` in automata: its value, its fields, and its place on a path."""

from __future__ import annotations

import math

import pytest

from autocog_core import Automaton, InputError, Model, ThoughtTree
from autocog_core.automaton import Ask, Choose, Record, Text
from autocog_core.automaton.templates.template import Template
from autocog_core.backends.random import RandomLM

SCHEMA = {
    "type": "object",
    "properties": {
        "color": {"enum": ["red", "green"]},
        "count": {"type": "integer", "minimum": 1, "maximum": 4},
        "tags": {"type": "array", "maxItems": 2, "items": {"type": "string", "maxLength": 3}},
    },
    "required": ["color", "count", "tags"],
}


@pytest.fixture
def model() -> Model:
    return Model(RandomLM(vocabulary="merges"))


def test_a_record_is_a_field(model: Model) -> None:
    automaton = Automaton(
        [
            Text(uid="t", text="x ", successors=("r",)),
            Record(uid="r", name="r", schema=SCHEMA, flat=True, successors=("after",)),
            Text(uid="after", text=Template(" {{ fields.r.color }}"), name="again"),
        ]
    )
    assert automaton.check(model) == []
    tree = automaton.run(model)
    path = tree.best()
    fields = path.fields
    value = fields["r"]
    assert value == {"color": fields["r.color"], "count": fields["r.count"], "tags": value["tags"]}
    assert fields["again"] == f" {value['color']}"
    (end,) = (node for node in path.nodes if node.kind == "record")
    parts = [node for node in path.nodes if node.part is not None]
    assert {node.part for node in parts} >= {"color", "count", "tags"}
    probs = [
        node.prob if node.constrained_logprob is None else math.exp(node.constrained_logprob)
        for node in parts
    ]
    assert end.prob == pytest.approx(math.prod(probs))
    marginal = tree.marginals("r")
    assert marginal.entries[0].prob == pytest.approx(end.prob)
    assert ThoughtTree.from_dict(tree.to_dict()) == tree


def test_records_in_loops_and_groups(model: Model) -> None:
    """A path with several records of one action has the value of each."""
    loop = Automaton(
        [
            Record(uid="r", name="r", schema={"enum": ["a", "b"]}, max_visits=3, successors="c"),
            Choose(uid="c", choices=(" more", " end"), successors=("r", "e"), width=None),
            Text(uid="e", text="."),
        ]
    )
    longest = max(loop.run(model).complete, key=lambda path: len(path.nodes))
    assert len(longest.fields["r"]) == 3
    group = Automaton(
        [
            Ask(
                uid="g",
                questions=(
                    (Record(uid="one", name="one", schema=SCHEMA),),
                    (Record(uid="two", name="two", schema={"type": "boolean"}),),
                ),
            )
        ]
    )
    fields = group.run(model).fields
    assert set(fields["one"]) == {"color", "count", "tags"}
    assert isinstance(fields["two"], bool)


def test_wrong_records_are_found_before_a_run() -> None:
    automaton = Automaton([Record(uid="r", schema={"type": "object", "properties": {"a": False}})])
    automaton = Automaton([Record(uid="r", schema={"properties": {"a": {"not": {}}}}, flat=True)])
    messages = [str(error) for error in automaton.errors()]
    assert any('"not" is not supported' in message for message in messages)
    assert any("flat needs a name" in message for message in messages)
    with pytest.raises(InputError, match="flat needs a name"):
        automaton.run(Model(RandomLM()))
