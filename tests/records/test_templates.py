"""Records that are written by a template of the user."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autocog_core import Automaton, InputError, Model, Text
from autocog_core.records import CompiledRecord, TemplateStyle, compile_record
from autocog_core.types.thought_tree import ThoughtPath
from tests.support.json_model import JsonModel
from tests.support.soak import count

SCHEMA = {
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 6},
        "age": {"type": ["integer", "null"], "minimum": 0},
        "kind": {"enum": ["cat", "dog", 7]},
        "note": {"type": ["string", "null"], "maxLength": 4},
        "home": {
            "properties": {"city": {"type": "string", "maxLength": 3}, "zip": {"type": "number"}},
            "required": ["city"],
        },
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 2}, "maxItems": 2},
    },
    "required": ["name", "age", "kind", "home", "tags"],
}
TEMPLATE = "Name: {name}; {age} years\nKind: {kind}\n({home.city}) {note}\nTags: {tags}\n{{}}"


def run(record: CompiledRecord, seed: int) -> list[ThoughtPath]:
    prompt = Text(uid="prompt", text="Form:\n", successors=(record.actions[0].uid,))
    automaton = Automaton([prompt, *record.actions])
    assert automaton.errors() == []
    assert [str(finding) for finding in automaton.check(Model(JsonModel(seed)))] == []
    return list(automaton.run(Model(JsonModel(seed))).complete)


def test_the_value_fills_the_template() -> None:
    record = compile_record(SCHEMA, TemplateStyle(template=TEMPLATE))
    complete = 0
    for seed in range(count(normal=4, soak=300)):
        for path in run(record, seed):
            value = record.decode(path.nodes).value
            text = path.text.removeprefix("Form:\n")
            assert text == _fill(value), value
            assert isinstance(value["age"], int | None)
            assert value["kind"] in ("cat", "dog", 7)
            assert ";" not in value["name"]
            complete += 1
    assert complete


def _fill(value: dict[str, Any]) -> str:
    def plain(entry: Any) -> str:
        return entry if isinstance(entry, str) else json.dumps(entry, ensure_ascii=False)

    tags = json.dumps(value["tags"], ensure_ascii=False)
    return (
        f"Name: {value['name']}; {plain(value['age'])} years\nKind: {plain(value['kind'])}\n"
        f"({value['home']['city']}) {plain(value['note'])}\nTags: {tags}\n{{}}"
    )


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{name}", 'lacks the required field "age"'),
        ("{label}", 'no field "label"'),
        ("{name}{age}", "no text separates {name} from {age}"),
        ("{name} {name}", "writes {name} twice"),
        ("{name.first}", '"name" has no fields of its own'),
        ("{home} {home.city}", "writes {home.city} twice"),
        ("{home.zip}", "lacks the required field"),
        ("{name!r}", "nothing else in the braces"),
        ("{}", "give the name of a field"),
        ("{name", "write {{{{ for a brace"),
        ("Name", "has no field"),
    ],
)
def test_templates_that_do_not_fit_are_refused(template: str, message: str) -> None:
    others = " {age} {kind} {home.city} {tags}"
    if message.startswith(("no text", "writes {name}")):
        template += others.replace(" {age}", "") if "{age}" in template else others
    with pytest.raises(InputError) as error:
        compile_record(SCHEMA, TemplateStyle(template=template))
    assert message.replace("{{{{", "{{") in str(error.value)


def test_only_objects_have_templates() -> None:
    with pytest.raises(InputError, match="only an object"):
        compile_record({"type": "string"}, TemplateStyle(template="{a}"))
