"""How many tokens a hook call was about, as far as its arguments and its answer tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autocog_core.pieces import TokenPiece


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
            return sum(int(scores.evaluated) for scores in answer)
        case "complete" | "choose":
            return None if answer.evaluated is None else int(answer.evaluated)
    return None
