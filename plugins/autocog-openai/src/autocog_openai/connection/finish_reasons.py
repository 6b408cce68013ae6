"""What the words mean that servers give as the reason for the end of a text."""

from __future__ import annotations

from typing import Literal

#: "end": a stop string or EOS, the server does not say which. "cut": the server gave up.
EndKind = Literal["end", "eos", "stop", "length", "cut", "refused", "unknown"]

_WORDS: dict[EndKind, tuple[str, ...]] = {
    "end": ("stop", "end", "completed"),
    "eos": ("eos", "eos_token", "end_turn", "stop_token"),
    "stop": ("stop_sequence", "stop_string"),
    "length": (
        "length",
        "max_tokens",
        "max_output_tokens",
        "max_completion_tokens",
        "model_length",
    ),
    "cut": (
        *("error", "failed", "abort", "aborted", "cancelled", "canceled", "timeout", "interrupted"),
        *("insufficient_system_resource", "network_error", "server_error", "overloaded"),
    ),
    "refused": ("content_filter", "refusal", "safety", "sensitive", "recitation"),
}
_KIND_OF_WORD = {word: kind for kind, words in _WORDS.items() for word in words}


def end_kind(finish_reason: str | None) -> EndKind:
    """Return what a finish reason means; "unknown" for words that are not in the table."""
    return _KIND_OF_WORD.get((finish_reason or "").lower(), "unknown")
