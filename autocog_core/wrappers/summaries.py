"""Arguments and answers of hooks in a few words, for people."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from enum import Enum
from itertools import islice
from typing import Any

import numpy as np

from autocog_core.redaction import MASK, is_secret_name, redact
from autocog_core.types.prompt import TokenPiece

#: Characters of a text, and items of a list, that are shown.
TEXT, ITEMS = 80, 6


def short(value: Any) -> Any:
    """`value` as plain data for JSON, with secrets taken out and the ends of what is long."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bytes):
        return _text(value.decode("utf-8", errors="replace"))
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, np.ndarray):
        return _array(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _fields(value)
    if isinstance(value, Mapping):
        shown = {str(name): _entry(str(name), each) for name, each in islice(value.items(), ITEMS)}
        return shown if len(value) <= ITEMS else {**shown, "...": f"{len(value)} in all"}
    if isinstance(value, list | tuple):
        items = [short(each) for each in value[:ITEMS]]
        return items if len(value) <= ITEMS else [*items, f"... {len(value)} in all"]
    return type(value).__name__


def _entry(name: str, value: Any) -> Any:
    return MASK if is_secret_name(name) else short(value)


def _text(text: str) -> str:
    # Before it is cut: what is left of a secret would not be known for one.
    text = redact(text)
    if len(text) <= TEXT:
        return text
    half = TEXT // 2
    return f"{text[:half]} ... {text[-half:]} ({len(text)} characters)"


def _array(array: np.ndarray[Any, Any]) -> Any:
    if array.ndim == 1 and array.size <= ITEMS and array.dtype != np.bool_:
        return [short(item) for item in array.tolist()]
    return f"{array.dtype} {array.shape}"


def _fields(value: Any) -> dict[str, Any]:
    """What differs from its default; the rest says nothing."""
    return {
        field.name: short(getattr(value, field.name))
        for field in dataclasses.fields(value)
        if not _is_default(field, getattr(value, field.name))
    }


def _is_default(field: dataclasses.Field[Any], value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.size == 0
    if field.default_factory is not dataclasses.MISSING:
        return bool(value == field.default_factory())
    return bool(value is field.default or value == field.default)


def token_counts(hook: str, arguments: Mapping[str, Any], answer: Any) -> dict[str, int]:
    """`given` to the model, `answered` by it, and `evaluated` for it; what is unknown is left out.

    :param answer: None for a call that failed.
    """
    try:
        counts = {
            "given": _given(hook, arguments),
            "answered": _answered(hook, answer),
            "evaluated": _evaluated(hook, answer),
        }
    except (AttributeError, TypeError):
        # Not what the hook should answer, as its caller is about to find.
        return {}
    return {name: count for name, count in counts.items() if count is not None}


def _given(hook: str, arguments: Mapping[str, Any]) -> int | None:
    match hook:
        case "greedy_impl" | "detokenize":
            return len(arguments["tokens"])
        case "greedy_tree_impl":
            return sum(len(query.prefix) + len(query.tokens) for query in arguments["queries"])
        case "complete" | "choose":
            pieces = arguments["request"].prompt.pieces
            if all(isinstance(piece, TokenPiece) for piece in pieces):
                return sum(len(piece.tokens) for piece in pieces)
    return None


def _answered(hook: str, answer: Any) -> int | None:
    if answer is None:
        return None
    match hook:
        case "tokenize":
            return sum(map(len, answer))
        case "complete":
            return sum(len(each.tokens) for each in (answer, *answer.alternatives))
        case "choose":
            return sum(len(score.tokens) for score in answer.scores)
    return None


def _evaluated(hook: str, answer: Any) -> int | None:
    if answer is None:
        return None
    match hook:
        case "greedy_tree_impl":
            return sum(int(scores.tokens_evaluated) for scores in answer)
        case "complete" | "choose":
            return None if answer.tokens_evaluated is None else int(answer.tokens_evaluated)
    return None
