"""Placeholders for the invalid parts of a program, so that the other parts can be checked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from autocog_core.program.document import DataPath
from autocog_core.program.schema import action_kind

_VALID_KEYS: dict[str, dict[str, Any]] = {
    "text": {"text": ""},
    "messages": {"messages": [{"user": ""}]},
    "choose": {"choices": ["."]},
    "complete": {"length": 1},
    "record": {"record": {"type": "null"}},
    "ask": {"ask": [[{"text": ""}]]},
}


def replace_invalid_parts(data: dict[str, Any], invalid: Iterable[DataPath]) -> dict[str, Any]:
    """Return a program in which placeholders replace the inputs, sets and actions with errors.

    :param data: the program.
    :param invalid: where its errors are.
    """
    parts = {path[:2] for path in invalid}
    valid: dict[str, Any] = {
        key: data[key]
        for key in ("inputs", "vocabs", "actions")
        if key in data and (key,) not in parts
    }
    for key, placeholder in (("inputs", "any"), ("vocabs", {"union": []})):
        if isinstance(valid.get(key), dict):
            valid[key] = {
                name: placeholder if (key, name) in parts else value
                for name, value in valid[key].items()
            }
    if isinstance(valid.get("actions"), list):
        valid["actions"] = [
            _placeholder(action) if ("actions", index) in parts else action
            for index, action in enumerate(valid["actions"])
        ]
    return valid


def _placeholder(action: Any) -> dict[str, Any]:
    """Return a valid action with the names of an invalid one."""
    data = action if isinstance(action, dict) else {}
    names = {key: data[key] for key in ("uid", "name") if isinstance(data.get(key), str)}
    # The default uid depends on the kind.
    return {**_VALID_KEYS[action_kind(action) or "text"], "next": None, **names}
