"""Automata as plain data, from which they are read again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from typing import Any

from autocog_core.automaton.actions import Action, Choose, Complete, Text
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.automaton.inputs import REQUIRED, Input
from autocog_core.automaton.templates.template import Each, Template, has_marks
from autocog_core.automaton.token_sets import Vocabulary
from autocog_core.program.token_sets import TokenSetWriter
from autocog_core.types.choice import EOS
from autocog_core.types.prompt import Prompt, TextPiece

#: What is said in another way, or always.
_APART = {"uid", "successors", "metadata", "text", "choices", "suffix", "vocab", "stop", "length"}


def to_data(automaton: AutomatonGraph) -> dict[str, Any]:
    """The program as plain data: what differs from the defaults."""
    data: dict[str, Any] = {"autocog": 1}
    if automaton.description:
        data["description"] = automaton.description
    if automaton.inputs:
        data["inputs"] = {name: _input(one) for name, one in automaton.inputs.items()}
    vocabs = TokenSetWriter(automaton.vocabs)
    if automaton.vocabs:
        data["vocabs"] = vocabs.named()
    following = [*(action.uid for action in automaton.actions[1:]), None]
    data["actions"] = [
        _action(action, default, vocabs)
        for action, default in zip(automaton.actions, following, strict=True)
    ]
    if automaton.metadata:
        data["metadata"] = dict(automaton.metadata)
    return data


def digest_of(automaton: AutomatonGraph) -> str:
    """Return the sha256 of what an automaton does, in hexadecimal: descriptions do not count."""
    data = to_data(automaton)
    data.pop("description", None)
    for each in (data, *data["actions"]):
        each.pop("metadata", None)
    content = json.dumps(data, sort_keys=True)
    return hashlib.sha256(content.encode("ascii")).hexdigest()


def _input(one: Input) -> Any:
    data: dict[str, Any] = {"type": one.type}
    if one.default is not REQUIRED:
        data["default"] = one.default
    if one.description:
        data["description"] = one.description
    return data if len(data) > 1 else one.type


def _action(action: Action, following: str | None, vocabs: TokenSetWriter) -> dict[str, Any]:
    data: dict[str, Any] = {"uid": action.uid, "type": action.kind}
    match action:
        case Text():
            data |= _text(action)
        case Choose():
            data["choices"] = _choices(action)
            if action.suffix is EOS:
                data["suffix_eos"] = True
            elif action.suffix is not None:
                data["suffix"] = action.suffix
        case Complete():
            data["length"] = action.length
            if action.stop:
                data["stop"] = list(action.stop)
            if isinstance(action.vocab, Vocabulary):
                # Written out, for a name is read as a name.
                data["vocab"] = vocabs.data(action.vocab)
            elif action.vocab is not None:
                data["vocab"] = action.vocab
    for each in fields(action):
        value = getattr(action, each.name)
        if each.name not in _APART and value != each.default:
            data[each.name] = value
    if len(action.successors) < 2:
        after = action.successors[0] if action.successors else None
        if after != following:
            data["next"] = after
    if action.metadata:
        data["metadata"] = dict(action.metadata)
    return data


def _text(action: Text) -> dict[str, Any]:
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
    return {"text": {"literal": action.text} if has_marks(action.text) else action.text}


def _choices(action: Choose) -> list[Any]:
    several = len(action.successors) > 1
    found: list[Any] = []
    for number, choice in enumerate(action.choices):
        match choice:
            case Each(items, text):
                data: Any = {"each": items, "text": text}
            case Template(source):
                data = {"text": source} if several else source
            case _ if has_marks(choice):
                data = {"literal": choice}
            case _:
                data = {"text": choice} if several else choice
        if several:
            data["next"] = action.successors[number]
        found.append(data)
    return found
