"""Random schemas on a small model: every value is valid, and the text says the same."""

from __future__ import annotations

import json
import math
from typing import Any

import jsonschema
import pytest

from autocog_core import Automaton, Budget, Model, Text
from autocog_core.automaton import Choose, Complete
from autocog_core.constraints.language import matches
from autocog_core.records import CompiledRecord, Limits, compile_record, node_prob
from autocog_core.types.constraint import Constraint
from autocog_core.types.thought_tree import ThoughtPath
from tests.records.generated_schemas import SchemaGenerator
from tests.support.json_model import JsonModel
from tests.support.soak import count

LIMITS = Limits(max_items=4, max_tokens_per_text=80)
SEEDS = range(count(normal=12, soak=1000))


def run(record: CompiledRecord, seed: int) -> list[ThoughtPath]:
    """Return the complete paths of a record after a prompt."""
    prompt = Text(uid="prompt", text="JSON:\n", successors=(record.actions[0].uid,))
    automaton = Automaton([prompt, *record.actions])
    assert automaton.errors() == []
    tree = automaton.run(Model(JsonModel(seed)), budget=Budget(nodes=3000))
    return list(tree.complete)


def require_agreement(record: CompiledRecord, path: ThoughtPath) -> Any:
    """Check a path against what can be said of its text alone; return its value."""
    decoded = record.decode(path.nodes)
    text = path.text.removeprefix("JSON:\n")
    assert decoded.value == json.loads(text)
    by_uid = {action.uid: action for action in record.actions}
    decided = []
    position = 0
    for index, node in enumerate(path.nodes):
        position += len(node.text)
        action = by_uid.get(node.uid)
        if isinstance(action, Choose | Complete):
            decided.append(index)
        if isinstance(action, Complete):
            assert action.constraint is not None
            assert matches(action.constraint, node.text)
            assert action.followed_by is not None
            rest = path.text[position:] + "\n"
            assert matches(Constraint(kind="regex", source=action.followed_by), rest), rest
    # Every decision belongs to one field.
    fields = decoded.fields.values()
    assert sorted(index for field in fields for index in field.nodes) == decided
    product = math.prod(node_prob(path.nodes[index]) for index in decided)
    assert decoded.prob == pytest.approx(product)
    for field in fields:
        assert follow(decoded.value, field.path) == field.value
    return decoded.value


def follow(value: Any, path: str) -> Any:
    """Return the value at a path such as items[0]["odd key"].a."""
    while path:
        if path[0] == "[":
            key, end = json.JSONDecoder().raw_decode(path[1:])
            value, path = value[key], path[end + 2 :]
        else:
            name = path.removeprefix(".")
            size = next((i for i, sign in enumerate(name) if sign in ".["), len(name))
            value, path = value[name[:size]], name[size:]
    return value


def test_values_of_random_schemas_are_valid() -> None:
    complete = 0
    for seed in SEEDS:
        schema = SchemaGenerator(seed).whole()
        record = compile_record(schema, limits=LIMITS)
        for path in run(record, seed):
            value = require_agreement(record, path)
            jsonschema.validate(
                value, schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
            )
            complete += 1
    assert complete > 0.5 * len(SEEDS)
