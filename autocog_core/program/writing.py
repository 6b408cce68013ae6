"""Write automata as plain data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from autocog_core.automaton.actions import Action, Ask, Choose, Complete, Messages, Record, Text
from autocog_core.automaton.choices import Choice
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.automaton.inputs import REQUIRED, Input
from autocog_core.automaton.templates.template import Each, Template, is_template
from autocog_core.automaton.thinking import Thinking
from autocog_core.automaton.token_sets import Vocabulary
from autocog_core.errors import InputError
from autocog_core.program.message_schema import write_message
from autocog_core.program.token_sets import TokenSetWriter
from autocog_core.records.source import record_source
from autocog_core.types.choice import EOS
from autocog_core.types.prompt import Prompt, TextPiece

#: Fields that are always written, or in another form.
_SPECIAL_FIELDS = {
    *("uid", "successors", "metadata", "text", "choices", "suffix", "vocab", "stop", "length"),
    *("questions", "for_each", "items", "messages", "thinking", "schema"),
}


def to_data(automaton: AutomatonGraph) -> dict[str, Any]:
    """Return the program as plain data, without defaults.

    A type of Python as the schema of a record is written as its JSON Schema.

    :raises InputError: if a group's questions are filled in for each item; if no JSON Schema can be
        made of a record's type.
    """
    for action in automaton.actions:
        if isinstance(action, Ask) and action.items is not None:
            raise InputError(
                "its questions are filled in for each item, which a program file cannot say",
                where=f'action "{action.uid}"',
                hint="write the automaton before `bind`",
            )
    return _write(automaton)


def _write(automaton: AutomatonGraph) -> dict[str, Any]:
    data: dict[str, Any] = {"autocog": 1}
    if automaton.description:
        data["description"] = automaton.description
    if automaton.inputs:
        data["inputs"] = {name: _write_input(input_) for name, input_ in automaton.inputs.items()}
    vocabs = TokenSetWriter(automaton.vocabs)
    if automaton.vocabs:
        data["vocabs"] = vocabs.write_named()
    data["actions"] = _write_sequence(automaton.actions, vocabs)
    if automaton.metadata:
        data["metadata"] = dict(automaton.metadata)
    return data


def compute_digest(automaton: AutomatonGraph) -> str:
    """Return the sha256 of the automaton in hexadecimal, without descriptions and metadata."""
    data = _write(automaton)
    data.pop("description", None)
    steps = (
        step
        for action in data["actions"]
        for question in action.get("ask", ())
        for step in question
    )
    for part in (data, *data["actions"], *steps):
        part.pop("metadata", None)
        for key in ("json_schema", "record"):
            if key in part:
                # The order of its keys is that of the text, and would be lost.
                part[key] = json.dumps(part[key])
    content = json.dumps(data, sort_keys=True)
    return hashlib.sha256(content.encode("ascii")).hexdigest()


def _write_input(input_: Input) -> Any:
    data: dict[str, Any] = {"type": input_.type}
    if input_.default is not REQUIRED:
        data["default"] = input_.default
    if input_.description:
        data["description"] = input_.description
    return data if len(data) > 1 else input_.type


def _write_sequence(actions: Sequence[Action], vocabs: TokenSetWriter) -> list[dict[str, Any]]:
    """Return the actions of an automaton or of a question as data."""
    default_successors = [*(action.uid for action in actions[1:]), None]
    return [
        _write_action(action, default, vocabs)
        for action, default in zip(actions, default_successors, strict=True)
    ]


def _write_action(
    action: Action, default_successor: str | None, vocabs: TokenSetWriter
) -> dict[str, Any]:
    data: dict[str, Any] = {"uid": action.uid, "type": action.kind}
    match action:
        case Text():
            data |= _write_text(action)
        case Messages():
            data["messages"] = list(map(write_message, action.messages))
        case Choose():
            data["choices"] = _write_choices(action)
            if action.suffix is EOS:
                data["suffix_eos"] = True
            elif action.suffix is not None:
                data["suffix"] = action.suffix
        case Complete():
            data["length"] = action.length
            if action.stop:
                data["stop"] = list(action.stop)
            if isinstance(action.vocab, Vocabulary):
                # Never as a name, even if the set has one: the reader would return the name.
                data["vocab"] = vocabs.write(action.vocab)
            elif action.vocab is not None:
                data["vocab"] = action.vocab
        case Record():
            data["record"] = record_source(action.schema).schema
        case Ask():
            data |= _write_group(action, vocabs)
    if isinstance(action, Choose | Complete) and action.thinking is not None:
        data["thinking"] = _write_thinking(action.thinking)
    for field in fields(action):
        value = getattr(action, field.name)
        if field.name not in _SPECIAL_FIELDS and value != field.default:
            data[field.name] = value
    if len(action.successors) < 2:
        successor = action.successors[0] if action.successors else None
        if successor != default_successor:
            data["next"] = successor
    if action.metadata:
        data["metadata"] = dict(action.metadata)
    return data


def _write_thinking(thinking: Thinking) -> dict[str, Any]:
    data: dict[str, Any] = {"length": thinking.length}
    if thinking.end is not None:
        data["end"] = thinking.end
    return {**data, "after": thinking.after} if thinking.after else data


def _write_group(action: Ask, vocabs: TokenSetWriter) -> dict[str, Any]:
    data: dict[str, Any] = {
        "ask": [_write_sequence(question, vocabs) for question in action.questions]
    }
    if action.for_each is not None:
        for_each = action.for_each
        data["for_each"] = {"in": for_each.items, "as": for_each.name}
        if for_each.key is not None:
            data["for_each"]["key"] = for_each.key
    if action.items is not None:
        data["items"] = dict(action.items)
    return data


def _write_text(action: Text) -> dict[str, Any]:
    match action.text:
        case Template(source, special):
            return {"text": source, **({"special": True} if special else {})}
        case Prompt(pieces):
            return {
                "text": {
                    "pieces": [
                        {"text": piece.text, **({"special": True} if piece.trusted else {})}
                        for piece in pieces
                        if isinstance(piece, TextPiece)
                    ]
                }
            }
    return {"text": {"literal": action.text} if is_template(action.text) else action.text}


def _write_choices(action: Choose) -> list[Any]:
    has_own_successors = len(action.successors) > 1
    written: list[Any] = []
    for index, choice in enumerate(action.choices):
        match choice:
            case Each():
                data: Any = _write_each(choice)
            case Choice():
                data = _write_choice(choice)
            case Template(source):
                data = {"text": source} if has_own_successors else source
            case _ if is_template(choice):
                data = {"literal": choice}
            case _:
                data = {"text": choice} if has_own_successors else choice
        if has_own_successors:
            data["next"] = action.successors[index]
        written.append(data)
    return written


def _write_each(each: Each) -> dict[str, Any]:
    data: dict[str, Any] = {"each": each.items}
    data |= {"texts": list(each.texts)} if each.texts else {"text": each.text}
    return data if each.value is None else {**data, "value": each.value}


def _write_choice(choice: Choice) -> dict[str, Any]:
    # Beside a literal, the reader takes no value for a template.
    is_literal = isinstance(choice.value, str) and is_template(choice.value)
    texts: list[Any] = []
    for text in choice.texts:
        match text:
            case Template(source):
                texts.append(source)
            case _ if is_literal or is_template(text):
                texts.append({"literal": text})
            case _:
                texts.append(text)
    (data,) = (
        [{"texts": texts}]
        if len(texts) > 1
        else [text if isinstance(text, dict) else {"text": text} for text in texts]
    )
    return data if choice.value is None else {**data, "value": choice.value}
