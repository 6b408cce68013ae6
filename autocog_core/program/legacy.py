"""Translate files of an older format into the current one.

In the older format, each action lists its successors, and texts are not templates. `threshold`
limits the mean probability of a branch's tokens. Some keys are only for the program that wrote the
file; they become metadata.
"""

from __future__ import annotations

from typing import Any

from autocog_core.program.diagnostics import Diagnostic, describe_value, unknown_key
from autocog_core.program.document import DataPath

#: Keys that become metadata.
METADATA_KEYS = ("field", "indices", "metadata", "provenance", "queue")
_KEYS_BY_TYPE = {
    "text": ("text", "evaluate"),
    "choose": ("choices", "width", "threshold"),
    "complete": ("length", "width", "threshold", "beams", "ahead", "stop_text", "vocab"),
}
_OPERATIONS = {"union": "union", "intersect": "intersect", "diff": "difference"}
_VOCAB_KINDS = ("tokenize", "regex", *_OPERATIONS, "complement")


def is_legacy(data: dict[str, Any]) -> bool:
    """Return whether a program is in the older format."""
    actions, vocabs = data.get("actions"), data.get("vocabs")
    has_successors = isinstance(actions, list) and any(
        isinstance(action, dict) and "successors" in action for action in actions
    )
    return has_successors or (
        isinstance(vocabs, dict)
        and any(isinstance(vocab, dict) and "kind" in vocab for vocab in vocabs.values())
    )


def translate_legacy(data: dict[str, Any]) -> tuple[dict[str, Any], list[Diagnostic]]:
    """Return the program in the current format, and the errors against the older format."""
    translator = _Translator()
    return translator.translate(data), translator.errors


class _Translator:
    """Translates one program. It copies values of wrong types: the current schema rejects them."""

    def __init__(self) -> None:
        self.errors: list[Diagnostic] = []

    def translate(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return the program in the current format."""
        self._check_keys(data, (), ("actions", "vocabs", *METADATA_KEYS))
        program = {key: data[key] for key in ("actions", "vocabs") if key in data}
        if isinstance(data.get("vocabs"), dict):
            program["vocabs"] = {
                name: self._vocab(vocab, ("vocabs", name)) for name, vocab in data["vocabs"].items()
            }
        if isinstance(data.get("actions"), list):
            program["actions"] = [
                self._action(action, ("actions", index)) if isinstance(action, dict) else action
                for index, action in enumerate(data["actions"])
            ]
        return program | {"metadata": _metadata_of(data)}

    def _error(self, path: DataPath, message: str) -> None:
        self.errors.append(Diagnostic(path, message))

    def _check_keys(self, data: dict[str, Any], path: DataPath, valid: tuple[str, ...]) -> None:
        self.errors += [unknown_key((*path, key), valid) for key in data if key not in valid]

    def _action(self, action: dict[str, Any], path: DataPath) -> dict[str, Any]:
        kind = action.get("type")
        if not isinstance(kind, str) or kind not in _KEYS_BY_TYPE:
            message = f'expected "text", "choose" or "complete", got {describe_value(kind)}'
            self._error((*path, "type"), message)
            return {}
        keys = _KEYS_BY_TYPE[kind]
        self._check_keys(action, path, ("uid", "type", "successors", *keys, *METADATA_KEYS))
        successors = self._successors(action, path)
        translated = {
            "uid": action.get("uid"),
            "type": kind,
            "metadata": _metadata_of(action),
            "next": successors[0] if successors else None,
        }
        translated |= {key: action[key] for key in keys if action.get(key) is not None}
        # A width of null means no limit in both formats.
        if "width" in action:
            translated["width"] = action["width"]
        if action.get("threshold") is not None:
            translated["threshold_on"] = "mean"
        match kind:
            case "text":
                if isinstance(action.get("text"), str):
                    translated["text"] = {"literal": action["text"]}
            case "choose":
                self._choices(translated, successors, path)
            case _:
                if translated.pop("ahead", 1) != 1:
                    message = "values other than 1 are not supported; remove the key"
                    self._error((*path, "ahead"), message)
                if "stop_text" in translated:
                    translated["stop"] = translated.pop("stop_text")
        if kind != "choose" and len(successors) > 1:
            message = f"expected at most 1 entry, got {len(successors)}"
            self._error((*path, "successors"), message)
        return translated

    def _successors(self, action: dict[str, Any], path: DataPath) -> list[Any]:
        successors = action.get("successors")
        if successors is None:
            return []
        if not isinstance(successors, list):
            message = f"expected a list, got {describe_value(successors)}"
            self._error((*path, "successors"), message)
            return []
        return successors

    def _choices(self, action: dict[str, Any], successors: list[Any], path: DataPath) -> None:
        """Translate the choices of a translated action in place."""
        choices = action.get("choices")
        if not isinstance(choices, list):
            return
        if len(successors) > 1 and len(successors) != len(choices):
            message = (
                f"expected {len(choices)} entries (one per choice), or at most 1, "
                f"got {len(successors)}"
            )
            self._error((*path, "successors"), message)
            return
        literals: list[dict[str, Any]] = [{"literal": choice} for choice in choices]
        if len(successors) > 1:
            for choice, uid in zip(literals, successors, strict=True):
                choice["next"] = uid
        action["choices"] = literals

    def _vocab(self, vocab: Any, path: DataPath) -> Any:
        """Return a set; its operands are names or sets."""
        if not isinstance(vocab, dict):
            return vocab
        kind = vocab.get("kind")
        strings, operands = (vocab.get(key) or [] for key in ("strings", "operands"))
        if kind not in _VOCAB_KINDS:
            message = f"kind: expected one of {', '.join(_VOCAB_KINDS)}, got {describe_value(kind)}"
            self._error(path, message)
            return {"union": []}
        if not isinstance(strings, list) or not isinstance(operands, list):
            self._error(path, "expected lists as strings and operands")
            return {"union": []}
        self._check_keys(vocab, path, ("kind", "strings", "operands", *METADATA_KEYS))
        sets = [self._vocab(operand, path) for operand in operands]
        match kind:
            case "tokenize":
                return {"tokens": strings}
            case "regex":
                patterns = [{"regex": string} for string in strings]
                return patterns[0] if len(patterns) == 1 else {"union": patterns}
            case "complement" if len(sets) == 1:
                return {"complement": sets[0]}
            case "complement":
                self._error(path, f"expected 1 operand, got {len(sets)}")
                return {"union": []}
        return {_OPERATIONS[kind]: sets}


def _metadata_of(data: dict[str, Any]) -> dict[str, Any]:
    return {key: data[key] for key in METADATA_KEYS if key in data}
