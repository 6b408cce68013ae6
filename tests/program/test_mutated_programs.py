"""Damaged program files: one clear error, or a program that runs to a result or a clear error."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from autocog_core import AutocogError, Automaton, Budget, InputError, Model, load
from tests.support.mutations import mutate
from tests.support.trials import Trials, tried

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*/*.yaml"))
#: A program with every kind of key.
EVERYTHING = {
    "description": "all kinds of keys",
    "metadata": {"author": "a"},
    "inputs": {
        "question": "text",
        "choices": {"type": "list", "default": ["a", "b"]},
        "count": {"type": "integer", "default": 3, "description": "how many"},
        "any": {"type": "any", "default": {"a": [1, None, 0.5]}},
    },
    "vocabs": {
        "digits": {"regex": "[0-9]+"},
        "words": {"tokens": ["yes", "no"]},
        "most": {
            "difference": [{"complement": "words"}, {"union": ["digits", {"strings": ["x"]}]}]
        },
    },
    "actions": [
        {"text": "{% for c in choices %}{{ loop.index }} {{ c|upper }}{% endfor %}"},
        {"text": {"pieces": [{"text": "<|user|>", "special": True}, {"text": "hi"}]}},
        {"uid": "ask", "name": "answer", "choices": {"each": "choices", "text": " {{ item }}"}},
        {
            "name": "more",
            "choices": [
                {"text": "{{ question }}", "next": "ask"},
                {"literal": "{{", "next": "end"},
                "stop",
            ],
            "width": 2,
            "threshold": 0.1,
            "norm": "mean",
            "suffix": ".",
            "max_visits": 2,
        },
        {"length": 3, "vocab": "most", "beams": 2, "stop": ["\n"], "width": 2},
        {"text": "{{ fields.more | last }} {{ fields.answer[0].prob }}", "context": "fresh"},
        {"length": 2, "temperature": 0.5, "seed": 1, "next": "end"},
    ],
}
#: An older file.
OLDER = {
    "vocabs": {"v": {"kind": "union", "operands": [{"kind": "regex", "strings": ["a"]}]}},
    "actions": [
        {"uid": "t", "type": "text", "text": "a", "successors": ["c"]},
        {"uid": "c", "type": "choose", "choices": ["b", "c"], "successors": ["d"], "width": 1},
        {"uid": "d", "type": "complete", "length": 2, "vocab": "v", "successors": []},
    ],
}
PROGRAMS: list[dict[str, Any]] = [
    EVERYTHING,
    EVERYTHING,
    OLDER,
    *(yaml.safe_load(path.read_text(encoding="utf-8")) for path in EXAMPLES),
]
#: Values for every place of a program. Small numbers, for what still runs.
VALUES: list[Any] = [
    *(None, True, -1, 0, 1, 2, 3, 0.5, 1e3, "", "end", "ask", "answer", " ", "x" * 300, "\n"),
    *("{{ question }}", "{{ nothing }}", "{{", "{% for x in choices %}", "[", "(a+)+$", "\x1b[31m"),
    *(
        [],
        {},
        [[]],
        {"text": "a"},
        {"literal": "a"},
        ["a", "b"],
        {"each": "choices"},
        {"regex": ""},
    ),
    *(float("nan"), float("inf"), 10**30, "<|eos|>", "\ud800", "é" * 3, {"next": "ask"}),
]
KEYS = ["next", "uid", "name", "width", "threshold", "length", "text", "choices", "vocab", "suffix"]


def _places(data: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each container with each of its keys or indices."""
    items = list(data.items() if isinstance(data, dict) else enumerate(data))
    for key, value in items:
        yield data, key
        if isinstance(value, dict | list):
            yield from _places(value)


def change(program: dict[str, Any], drawn: random.Random) -> dict[str, Any]:
    """Return a copy with one part changed, removed, doubled or exchanged, or several."""
    changed = copy.deepcopy(program)
    for _ in range(drawn.choice([1, 1, 2, 4])):
        places = list(_places(changed))
        if not places:
            break
        parent, key = drawn.choice(places)
        match drawn.randrange(6):
            case 0 | 1:
                parent[key] = copy.deepcopy(drawn.choice(VALUES))
            case 2:
                del parent[key]
            case 3:
                other, other_key = drawn.choice(places)
                parent[key] = copy.deepcopy(other[other_key])
            case 4 if isinstance(parent, list):
                parent.insert(key, copy.deepcopy(parent[key]))
            case _ if isinstance(parent, dict):
                parent[drawn.choice(KEYS)] = copy.deepcopy(drawn.choice([*VALUES, parent[key]]))
    return changed


def write(program: dict[str, Any], path: Path, drawn: random.Random) -> None:
    """Write a program as YAML or as JSON, damaged as text or as data."""
    if drawn.random() < 0.6:
        program = change(program, drawn)
    is_json = path.suffix == ".json"
    try:
        text = json.dumps(program) if is_json else yaml.safe_dump(program, sort_keys=False)
        content = text.encode()
    except (yaml.YAMLError, UnicodeEncodeError):
        # Some values have no YAML.
        content = json.dumps(program).encode()
    if drawn.random() < 0.5:
        content = mutate(content, drawn)
    path.write_bytes(content)


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    with load(backend="random", options={"context_length": 4000}) as model:
        yield model


#: Values for each type of an input.
INPUTS: dict[str, Any] = {
    "text": "a question",
    "integer": 2,
    "number": 0.5,
    "boolean": True,
    "list": ["a", "b"],
    "any": {"a": [1]},
}


def read(path: Path) -> Automaton | InputError:
    try:
        return Automaton.from_file(path)
    except InputError as error:
        return error


def outcome(path: Path, model: Model) -> str:
    """Read a program, check it and run it; return what came of it."""
    automaton = read(path)
    if isinstance(automaton, InputError):
        assert str(automaton).startswith(str(path))
        assert len(str(automaton)) < 20_000
        return "refused"
    # What was read can be written, and read again.
    assert Automaton.from_dict(automaton.to_dict()).digest == automaton.digest
    assert all(str(finding) for finding in automaton.check(model))
    values = {name: INPUTS[declared.type] for name, declared in automaton.inputs.items()}
    models = {action.model: model for action in automaton.actions if action.model is not None}
    budget = Budget(tokens=20_000, paths=300, seconds=10)
    try:
        tree = automaton.run(model, values, models=models, budget=budget)
        # A text of a random model may not end within its length.
        _ = tree.best(partial=True).fields, json.dumps(tree.to_dict(), allow_nan=False)
    except AutocogError:
        return "read, and an error of the run"
    return "run"


@pytest.mark.parametrize("program", PROGRAMS)
def test_undamaged_programs_run(program: dict[str, Any], model: Model, tmp_path: Path) -> None:
    path = tmp_path / "program.json"
    path.write_text(json.dumps(program))
    assert outcome(path, model) == "run", Automaton.from_file(path)


@tried(
    "Program files in YAML and JSON, mutated, and run if they can be read",
    expect="one clear error, or a result",
    normal=40,
    soak=2000,
)
def test_mutated_programs(trials: Trials, model: Model, tmp_path: Path) -> None:
    for seed in trials:
        drawn = random.Random(seed)
        path = tmp_path / ("program.json" if seed % 2 else "program.yaml")
        write(drawn.choice(PROGRAMS), path, drawn)
        try:
            trials.note(outcome(path, model))
        except Exception as error:
            content = path.read_text(encoding="utf-8", errors="replace")
            raise AssertionError(f"seed {seed}: {content}") from error
