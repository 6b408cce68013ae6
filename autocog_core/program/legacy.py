"""Automaton files of an older format, said in the terms of this one.

There every action lists its successors, texts are no templates, `threshold` is held against the
mean probability of a branch's tokens, and some keys are bookkeeping of the program that wrote them.
"""

from __future__ import annotations

from typing import Any

from autocog_core.program.document import Path_
from autocog_core.program.faults import Fault

#: Kept as metadata.
BOOKKEEPING = ("field", "indices", "metadata", "provenance", "queue")
_OWN = {
    "text": ("text", "evaluate"),
    "choose": ("choices", "width", "threshold"),
    "complete": ("length", "width", "threshold", "beams", "ahead", "stop_text", "vocab"),
}
_SETS = {"union": "union", "intersect": "intersect", "diff": "difference"}
_KINDS = ("tokenize", "regex", *_SETS, "complement")


def is_older(data: dict[str, Any]) -> bool:
    """Whether a program is of the older format."""
    actions, vocabs = data.get("actions"), data.get("vocabs")
    listed = actions if isinstance(actions, list) else []
    named = vocabs.values() if isinstance(vocabs, dict) else []
    return any(isinstance(one, dict) and "successors" in one for one in listed) or any(
        isinstance(one, dict) and "kind" in one for one in named
    )


def translated(data: dict[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    """The program in the terms of this format, and what was never defined in the older one."""
    translation = _Translation()
    return translation.program(data), translation.faults


class _Translation:
    """What is of another type than it should be is left as it is, and found to be so later."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def program(self, data: dict[str, Any]) -> dict[str, Any]:
        known = ("actions", "vocabs", *BOOKKEEPING)
        self._unknown_keys(data, (), known)
        found = {key: data[key] for key in ("actions", "vocabs") if key in data}
        if isinstance(data.get("vocabs"), dict):
            found["vocabs"] = {
                name: self._vocab(one, ("vocabs", name)) for name, one in data["vocabs"].items()
            }
        if isinstance(data.get("actions"), list):
            found["actions"] = [
                self._action(one, ("actions", number)) if isinstance(one, dict) else one
                for number, one in enumerate(data["actions"])
            ]
        return found | {"metadata": _kept(data)}

    def _unknown_keys(self, one: dict[str, Any], path: Path_, known: tuple[str, ...]) -> None:
        for key in one:
            if key not in known:
                self.faults.append(Fault((*path, key), "is no key here", key, known))

    def _action(self, one: dict[str, Any], path: Path_) -> dict[str, Any]:
        kind = one.get("type")
        if not isinstance(kind, str) or kind not in _OWN:
            what = 'expected "text", "choose" or "complete"'
            self.faults.append(Fault((*path, "type"), what))
            return {}
        own = _OWN[kind]
        self._unknown_keys(one, path, ("uid", "type", "successors", *own, *BOOKKEEPING))
        successors = self._successors(one, path)
        found = {
            "uid": one.get("uid"),
            "type": kind,
            "metadata": _kept(one),
            "next": successors[0] if successors else None,
        }
        found |= {key: one[key] for key in own if key in one and one[key] is not None}
        # None is no bound there as well.
        if "width" in one:
            found["width"] = one["width"]
        if one.get("threshold") is not None:
            found["threshold_on"] = "mean"
        match kind:
            case "text":
                if isinstance(one.get("text"), str):
                    found["text"] = {"literal": one["text"]}
            case "choose":
                self._choices(found, successors, path)
            case _:
                if found.pop("ahead", 1) != 1:
                    what = "more than 1 was never defined; leave it out"
                    self.faults.append(Fault((*path, "ahead"), what))
                if "stop_text" in found:
                    found["stop"] = found.pop("stop_text")
        if kind != "choose" and len(successors) > 1:
            what = f"{len(successors)} successors: at most one can follow it"
            self.faults.append(Fault((*path, "successors"), what))
        return found

    def _successors(self, one: dict[str, Any], path: Path_) -> list[Any]:
        found = one.get("successors")
        if found is None:
            return []
        if not isinstance(found, list):
            self.faults.append(Fault((*path, "successors"), "expected a list"))
            return []
        return found

    def _choices(self, found: dict[str, Any], successors: list[Any], path: Path_) -> None:
        choices = found.get("choices")
        if not isinstance(choices, list):
            return
        if len(successors) > 1 and len(successors) != len(choices):
            what = (
                f"{len(successors)} successors for {len(choices)} choices: "
                "give one for all, one for each, or none"
            )
            self.faults.append(Fault((*path, "successors"), what))
            return
        literal: list[dict[str, Any]] = [{"literal": choice} for choice in choices]
        if len(successors) > 1:
            for choice, uid in zip(literal, successors, strict=True):
                choice["next"] = uid
        found["choices"] = literal

    def _vocab(self, one: Any, path: Path_) -> Any:
        """A set; operands are names, or sets themselves."""
        if not isinstance(one, dict):
            return one
        kind = one.get("kind")
        strings, operands = (one.get(key) or [] for key in ("strings", "operands"))
        if kind not in _KINDS or not isinstance(strings, list) or not isinstance(operands, list):
            what = "expected a kind (" + ", ".join(_KINDS) + "), and lists"
            self.faults.append(Fault(path, what))
            return {"union": []}
        self._unknown_keys(one, path, ("kind", "strings", "operands", *BOOKKEEPING))
        inner = [self._vocab(each, path) for each in operands]
        match kind:
            case "tokenize":
                return {"tokens": strings}
            case "regex":
                patterns = [{"regex": each} for each in strings]
                return patterns[0] if len(patterns) == 1 else {"union": patterns}
            case "complement" if len(inner) == 1:
                return {"complement": inner[0]}
            case "complement":
                self.faults.append(Fault(path, f"expected one operand, got {len(inner)}"))
                return {"union": []}
        return {_SETS[kind]: inner}


def _kept(data: dict[str, Any]) -> dict[str, Any]:
    return {key: data[key] for key in BOOKKEEPING if key in data}
