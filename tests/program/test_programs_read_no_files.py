"""A program of a stranger opens no file and no connection, whatever its texts say."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from autocog_core import AutocogError, Automaton, Model, load
from tests.program.test_mutated_programs import EVERYTHING, INPUTS

#: What might be taken for a file, an address or a value of the environment.
REFERENCES = [
    "/etc/hostname",
    "../../secret.txt",
    "file:///etc/hostname",
    "@/etc/hostname",
    "@secret.txt",
    "package:pytest/__init__.py",
    "hf:owner/name/file.json",
    "env:HOME",
    "$HOME",
    "https://127.0.0.1:9/x",
    "{% include 'secret.txt' %}",
    "{{ 'secret.txt'|include }}",
    "!include secret.txt",
]
#: Audit events of files, connections, processes and imports from a folder.
WATCHED = ("open", "os.", "socket.", "subprocess.", "shutil.", "glob.", "urllib.", "ctypes.")
_events: list[tuple[str, Any]] = []
_is_watching = [False]


def _note(event: str, arguments: Any) -> None:
    if _is_watching[0] and event.startswith(WATCHED):
        _events.append((event, arguments))


# A hook cannot be removed.
sys.addaudithook(_note)


@contextmanager
def watching() -> Iterator[list[tuple[str, Any]]]:
    """The audit events of a block."""
    _events.clear()
    _is_watching[0] = True
    try:
        yield _events
    finally:
        _is_watching[0] = False


def with_texts(value: Any, text: str) -> Any:
    """Return a copy with `text` behind every text that is no name."""
    if isinstance(value, str):
        return value + " " + text
    if isinstance(value, list):
        return [with_texts(item, text) for item in value]
    if isinstance(value, dict):
        names = {"uid", "next", "vocab", "norm", "type", "each", "regex", "complement", "union"}
        names |= {"inputs", "difference", "default", "name", "context"}
        return {k: v if k in names else with_texts(v, text) for k, v in value.items()}
    return value


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    with load(backend="random") as model:
        yield model


def try_program(path: Path, model: Model, values: dict[str, Any]) -> str:
    try:
        automaton = Automaton.from_file(path)
        inputs = {name: values[declared.type] for name, declared in automaton.inputs.items()}
        tree = automaton.run(model, inputs)
    except AutocogError as error:
        return str(error)
    return json.dumps(tree.to_dict())


@pytest.mark.parametrize("reference", REFERENCES)
def test_only_the_program_itself_is_opened(
    reference: str, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "of a stranger"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for secret in (tmp_path / "secret.txt", folder / "secret.txt"):
        secret.write_text("a secret")
    path = folder / "program.json"
    path.write_text(json.dumps(with_texts(EVERYTHING, reference)))
    values = {**INPUTS, "text": reference, "list": [reference, "b"], "any": {"a": reference}}
    # Imports happen in the first round.
    try_program(path, model, values)
    with watching() as events:
        printed = try_program(path, model, values)
    assert [event for event in events if event[0] != "open"] == []
    assert {str(arguments[0]) for _, arguments in events} == {str(path)}
    assert "a secret" not in printed
    if "{" not in reference:
        assert '"nodes"' in printed, "it has run"


def test_tags_of_yaml_open_nothing(model: Model, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("a secret")
    path = tmp_path / "program.yaml"
    for tag in ("!include secret.txt", "!!python/object/apply:open [secret.txt]", "!!binary QQ=="):
        path.write_text(f"actions:\n- text: {tag}\n- choices: [a, b]\n")
        try_program(path, model, INPUTS)
        with watching() as events:
            printed = try_program(path, model, INPUTS)
        assert {str(arguments[0]) for event, arguments in events if event == "open"} == {str(path)}
        assert "a secret" not in printed
