"""Short forms of hook arguments and answers, and their token counts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from enum import Enum
from itertools import islice
from typing import Any

import numpy as np

from autocog_core.redaction import MASK, is_secret_name, redact
from autocog_core.types.prompt import Prompt, TokenPiece
from autocog_core.types.top_choices import TopChoices

#: Longest text, and longest list or mapping, that is shown in full.
MAX_CHARACTERS, MAX_ITEMS = 80, 6


def summarize_value(value: Any) -> Any:
    """Return `value` as short plain data for JSON, without secrets."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return _summarize_text(value)
    if isinstance(value, bytes):
        return _summarize_text(value.decode("utf-8", errors="replace"))
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, np.ndarray):
        return _summarize_array(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _summarize_fields(value)
    if isinstance(value, Mapping):
        return _summarize_mapping(value)
    if isinstance(value, list | tuple):
        items = [summarize_value(item) for item in value[:MAX_ITEMS]]
        return items if len(value) <= MAX_ITEMS else [*items, f"... {len(value)} in all"]
    return type(value).__name__


def _summarize_text(text: str) -> str:
    # Before the text is shortened: `redact` would not recognize part of a secret.
    text = redact(text)
    if len(text) <= MAX_CHARACTERS:
        return text
    half = MAX_CHARACTERS // 2
    return f"{text[:half]} ... {text[-half:]} ({len(text)} characters)"


def _summarize_array(array: np.ndarray[Any, Any]) -> Any:
    if array.ndim == 1 and array.size <= MAX_ITEMS and array.dtype != np.bool_:
        return [summarize_value(item) for item in array.tolist()]
    return f"{array.dtype} {array.shape}"


def _summarize_mapping(mapping: Mapping[Any, Any]) -> dict[str, Any]:
    items = {
        str(name): MASK if is_secret_name(str(name)) else summarize_value(value)
        for name, value in islice(mapping.items(), MAX_ITEMS)
    }
    return items if len(mapping) <= MAX_ITEMS else {**items, "...": f"{len(mapping)} in all"}


def _summarize_fields(value: Any) -> dict[str, Any]:
    """Return the fields that differ from their defaults."""
    return {
        field.name: summarize_value(getattr(value, field.name))
        for field in dataclasses.fields(value)
        if not _is_default(field, getattr(value, field.name))
    }


def _is_default(field: dataclasses.Field[Any], value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.size == 0
    if field.default_factory is not dataclasses.MISSING:
        return bool(value == field.default_factory())
    return bool(value is field.default or value == field.default)


def count_tokens(hook: str, arguments: Mapping[str, Any], answer: Any) -> dict[str, int]:
    """Return the tokens of a call's `input` and `output`, and the tokens `evaluated` for it.

    Unknown counts are left out.

    :param hook: the hook.
    :param arguments: the arguments of the call by name.
    :param answer: the answer; None for a call that failed.
    """
    try:
        counts = {
            "input": _count_input(hook, arguments),
            "output": _count_output(hook, answer),
            "evaluated": _count_evaluated(hook, answer),
        }
    except (AttributeError, TypeError):
        # The answer is not of the hook's type; the caller raises an error for it.
        return {}
    return {name: count for name, count in counts.items() if count is not None}


def _count_input(hook: str, arguments: Mapping[str, Any]) -> int | None:
    match hook:
        case "greedy_impl" | "detokenize":
            return len(arguments["tokens"])
        case "greedy_tree_impl":
            return sum(len(query.prefix) + len(query.tokens) for query in arguments["queries"])
        case "complete" | "choose":
            return _count_prompt(arguments["request"].prompt)
        case "choose_many":
            counts = [_count_prompt(request.prompt) for request in arguments["requests"]]
            return None if None in counts else sum(filter(None, counts))
    return None


def _count_prompt(prompt: Prompt) -> int | None:
    """Return the number of tokens of a prompt; None if a piece is text."""
    if all(isinstance(piece, TokenPiece) for piece in prompt.pieces):
        return sum(len(piece.tokens) for piece in prompt.pieces if isinstance(piece, TokenPiece))
    return None


def _count_output(hook: str, answer: Any) -> int | None:
    if answer is None:
        return None
    match hook:
        case "tokenize":
            return sum(map(len, answer))
        case "complete":
            return sum(len(text.tokens) for text in (answer, *answer.alternatives))
        case "choose":
            scores = answer.top if isinstance(answer, TopChoices) else answer.scores
            return sum(len(score.tokens) for score in scores)
        case "choose_many":
            return sum(len(score.tokens) for each in answer for score in each.scores)
    return None


def _count_evaluated(hook: str, answer: Any) -> int | None:
    if answer is None:
        return None
    match hook:
        case "greedy_tree_impl":
            return sum(int(scores.tokens_evaluated) for scores in answer)
        case "complete" | "choose":
            return None if answer.tokens_evaluated is None else int(answer.tokens_evaluated)
        case "choose_many":
            counts = [scores.tokens_evaluated for scores in answer]
            return None if None in counts else int(sum(counts))
    return None
