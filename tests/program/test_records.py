"""Records in program files: keys, errors, drawings, and how they are written again."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from autocog_core import Automaton, InputError, Model
from autocog_core.automaton import Record
from autocog_core.backends.random import RandomLM
from autocog_core.evaluation.cost_estimate import estimate_cost
from autocog_core.viz import graph_dot, graph_mermaid, graph_svg

PROGRAM = """
inputs: {message: text}
actions:
  - text: "{{ message }}\\nJSON:"
  - name: order
    record:
      type: object
      properties: {size: {enum: [small, large]}, count: {type: integer, minimum: 1, maximum: 3}}
      required: [size, count]
    flat: true
    max_items: 3
  - text: " So {{ fields.order.size }}."
  - ask:
      - [{text: " Paid?"}, {name: paid, record: {type: boolean}, template: "{value}", beams: 2}]
"""


class Order(BaseModel):
    """The type of the program's record."""

    size: str
    count: int


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "program.yaml"
    file.write_text(PROGRAM.replace('template: "{value}", ', ""), encoding="utf-8")
    return file


def test_a_file_is_read_written_and_run(path: Path) -> None:
    automaton = Automaton.from_file(path)
    (order,) = (action for action in automaton.actions if isinstance(action, Record))
    assert (order.uid, order.flat, order.max_items, order.beams) == ("order", True, 3, 1)
    assert Automaton.from_dict(automaton.to_dict()) == automaton
    assert automaton.simplify() == automaton
    fields = automaton.run(Model(RandomLM(vocabulary="merges")), {"message": "Two."}).fields
    assert fields["order"] == {"size": fields["order.size"], "count": fields["order.count"]}
    assert isinstance(fields["paid"], bool)


def test_the_order_of_keys_is_another_program() -> None:
    def automaton(*names: str) -> Automaton:
        properties = {name: {"type": "boolean"} for name in names}
        return Automaton([Record(uid="r", schema={"type": "object", "properties": properties})])

    assert automaton("a", "b").digest != automaton("b", "a").digest


def test_a_type_of_python_is_written_as_its_schema() -> None:
    automaton = Automaton([Record(uid="r", name="r", schema=Order)])
    (data,) = automaton.to_dict()["actions"]
    assert list(data["record"]["properties"]) == ["size", "count"]
    assert Automaton.from_dict(automaton.to_dict()).errors() == []


def test_errors_have_their_place(tmp_path: Path) -> None:
    file = tmp_path / "program.yaml"
    file.write_text(
        """actions:
  - name: a
    record: {type: object, properties: {x: {not: {}}}}
  - {name: b, record: [1]}
  - name: c
    record: {type: object, properties: {a: {type: string}}, required: [a]}
    template: "Name: {b}"
  - {record: {type: string}, max_items: 0}
  - {text: x, uid: d.start/text}
  - {uid: d, record: {type: object, properties: {a: {type: string}}, required: [a]}}
  - ask: [[{text: q}, {name: e, record: {type: string, pattern: "(?=a)"}}]]
""",
        encoding="utf-8",
    )
    with pytest.raises(InputError) as raised:
        Automaton.from_file(file)
    message = str(raised.value).replace(str(file), "PATH")
    assert 'PATH:2: action "a": record: x: ' in message
    assert 'PATH:4: action "b": record: expected a mapping of names to values' in message
    file.write_text(file.read_text().replace("record: [1]", "length: 1"), encoding="utf-8")
    with pytest.raises(InputError) as raised:
        Automaton.from_file(file)
    message = str(raised.value).replace(str(file), "PATH")
    for expected in (
        'PATH:2: action "a": record: x: ',
        'PATH:5: action "c": record: template: the record has no field "b"; valid names: a',
        "PATH:8: action 4: max_items is 0: give 1 or more",
        'PATH:10: action "d": its part "d.start/text" has the uid of another action',
        "PATH:11: action 7: ask[0][1]: record: schema: the pattern looks ahead or behind",
    ):
        assert expected in message, message


def test_a_record_is_one_box(path: Path) -> None:
    automaton = Automaton.from_file(path)
    assert "[[" in graph_mermaid(automaton)
    assert "2 keys · flat" in graph_mermaid(automaton)
    assert "peripheries=2" in graph_dot(automaton)
    assert ">record<" in graph_svg(automaton)


def test_the_estimate_counts_the_parts(path: Path) -> None:
    automaton = Automaton.from_file(path)
    assert estimate_cost(automaton.bind({"message": "m"}), None).calls >= 3
