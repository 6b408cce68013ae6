"""Automaton files of an older format, said in the terms of this one.

There every action lists its successors, texts are no templates, `threshold` is held against the
mean probability of a branch's tokens, and some keys are bookkeeping of the program that wrote them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autocog_core.errors import did_you_mean
from autocog_core.program.document import Path_
from autocog_core.program.faults import Fault

#: Kept as metadata.
BOOKKEEPING = ("field", "indices", "metadata", "provenance", "queue")
_KINDS = {"text": "text", "choose": "choices", "complete": "length"}
_OWN = {
    "text": ("text", "evaluate"),
    "choose": ("choices", "width", "threshold"),
    "complete": ("length", "width", "threshold", "beams", "ahead", "stop_text", "vocab"),
}
_SETS = {"union": "union", "intersect": "intersect", "diff": "difference"}


def is_older(data: Mapping[str, Any]) -> bool:
    """Whether a program is of the older format."""
    actions, vocabs = data.get("actions"), data.get("vocabs")
    listed = actions if isinstance(actions, list) else []
    named = vocabs.values() if isinstance(vocabs, Mapping) else []
    return any(isinstance(one, Mapping) and "successors" in one for one in listed) or any(
        isinstance(one, Mapping) and "kind" in one for one in named
    )


def translated(data: Mapping[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    """The program in the terms of this format, and what was never defined in the older one."""
    faults: list[Fault] = []
    found: dict[str, Any] = {"metadata": _kept(data)}
    for key in data:
        if key not in ("actions", "vocabs", *BOOKKEEPING):
            faults.append(Fault((key,), "is no key here"))
    found["vocabs"] = {
        name: _vocab(one, ("vocabs", name), faults) for name, one in data.get("vocabs", {}).items()
    }
    actions = data.get("actions", [])
    found["actions"] = [
        _action(one, ("actions", number), faults) if isinstance(one, Mapping) else one
        for number, one in enumerate(actions)
    ]
    return found, faults


def _kept(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: data[key] for key in BOOKKEEPING if key in data}


def _action(one: Mapping[str, Any], path: Path_, faults: list[Fault]) -> dict[str, Any]:
    kind = one.get("type")
    if kind not in _OWN:
        faults.append(Fault(path, 'its type is none of "text", "choose", "complete"'))
        return {}
    own = _OWN[kind]
    for key in one:
        if key not in ("uid", "type", "successors", *own, *BOOKKEEPING):
            faults.append(Fault((*path, key), "is no key here; " + did_you_mean(key, own)))
    successors = one.get("successors") or []
    found: dict[str, Any] = {
        "uid": one.get("uid"),
        "type": kind,
        "metadata": _kept(one),
        "next": successors[0] if successors else None,
    }
    found |= {key: one[key] for key in own if key in one and one[key] is not None}
    if kind == "text":
        found["text"] = {"literal": one.get("text")}
        return found
    # None is no bound there as well.
    if "width" in one:
        found["width"] = one["width"]
    if one.get("threshold") is not None:
        found["threshold_on"] = "mean"
    if kind == "choose":
        _choices(one, found, successors, path, faults)
        return found
    if len(successors) > 1:
        faults.append(Fault(path, f"{len(successors)} successors: at most one can follow it"))
    ahead = found.pop("ahead", 1)
    if ahead != 1:
        faults.append(Fault((*path, "ahead"), f"{ahead} was never defined; leave it out"))
    if "stop_text" in found:
        found["stop"] = found.pop("stop_text")
    return found


def _choices(
    one: Mapping[str, Any],
    found: dict[str, Any],
    successors: list[Any],
    path: Path_,
    faults: list[Fault],
) -> None:
    choices = one.get("choices")
    if not isinstance(choices, list):
        return
    if len(successors) > 1 and len(successors) != len(choices):
        faults.append(
            Fault(
                path,
                f"{len(successors)} successors for {len(choices)} choices: "
                "give one for all, one for each, or none",
            )
        )
        return
    literal: list[dict[str, Any]] = [{"literal": choice} for choice in choices]
    if len(successors) > 1:
        for choice, uid in zip(literal, successors, strict=True):
            choice["next"] = uid
    found["choices"] = literal


def _vocab(one: Any, path: Path_, faults: list[Fault]) -> Any:
    """A set; operands are names, or sets themselves."""
    if not isinstance(one, Mapping):
        return one
    kind = one.get("kind")
    strings, operands = one.get("strings") or [], one.get("operands") or []
    inner = [_vocab(each, path, faults) for each in operands]
    match kind:
        case "tokenize":
            return {"tokens": strings}
        case "regex":
            patterns = [{"regex": each} for each in strings]
            return patterns[0] if len(patterns) == 1 else {"union": patterns}
        case "union" | "intersect" | "diff":
            return {_SETS[kind]: inner}
        case "complement" if len(inner) == 1:
            return {"complement": inner[0]}
    faults.append(Fault(path, f"{kind!r} is no kind of set, or has the wrong number of operands"))
    return {"union": []}
