"""Programs without their faulty parts, so that the faults of the others are found as well."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from autocog_core.program.document import Path_
from autocog_core.program.shape import action_kind

_HARMLESS: dict[str, dict[str, Any]] = {
    "text": {"text": ""},
    "choose": {"choices": ["."]},
    "complete": {"length": 1},
}


def patched(data: dict[str, Any], faulty: Iterable[Path_]) -> dict[str, Any]:
    """A program of the right shape in which something harmless stands for what is faulty."""
    places = {path[:2] for path in faulty}
    found = {key: value for key, value in data.items() if (key,) not in places}
    for part, harmless in (("inputs", "any"), ("vocabs", {"union": []})):
        if isinstance(found.get(part), dict):
            found[part] = {
                name: harmless if (part, name) in places else one
                for name, one in found[part].items()
            }
    if isinstance(found.get("actions"), list):
        found["actions"] = [
            _stand_in(one) if ("actions", number) in places else one
            for number, one in enumerate(found["actions"])
        ]
    return {key: one for key, one in found.items() if key in ("inputs", "vocabs", "actions")}


def _stand_in(action: Any) -> dict[str, Any]:
    """An action that others may lead to."""
    kept = action if isinstance(action, dict) else {}
    names = {key: kept[key] for key in ("uid", "name") if isinstance(kept.get(key), str)}
    # Its kind may be what it is called by.
    harmless = _HARMLESS[action_kind(action) or "text"]
    return {**harmless, "next": None, **names}
