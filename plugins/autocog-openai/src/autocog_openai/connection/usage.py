"""What requests cost: as servers tell it with their answers, and added up."""

from __future__ import annotations

import threading
from typing import Any

from autocog_core import Usage


class Spending:
    """What several requests have cost together, from any number of threads."""

    def __init__(self) -> None:
        self._adding = threading.Lock()
        self._told = False
        self._usage = Usage()

    def add(self, usage: Usage | None) -> None:
        """Count what one answer says; None where it says nothing."""
        if usage is not None:
            with self._adding:
                self._told, self._usage = True, self._usage + usage

    @property
    def usage(self) -> Usage:
        """All of it."""
        with self._adding:
            return self._usage

    @property
    def evaluated(self) -> int | None:
        """Tokens that the model read anew or wrote; None where no answer told."""
        usage = self.usage
        if not self._told:
            return None
        return max(0, usage.prompt_tokens - usage.cached_tokens) + usage.completion_tokens


def usage_of(answer: Any) -> Usage | None:
    """What an answer says it has cost; None for one that says nothing (a route for tokens)."""
    try:
        return _usage_of(answer)
    except (TypeError, ValueError, AttributeError):
        # How it is counted is no reason to lose an answer.
        return None


def _usage_of(answer: Any) -> Usage | None:
    if isinstance(answer, list):
        found = [one for one in map(_usage_of, answer) if one is not None]
        return sum(found[1:], found[0]) if found else None
    if not isinstance(answer, dict):
        return None
    if isinstance(answer.get("response"), dict):
        # Events of the responses route hold the whole answer, at their end.
        answer = answer["response"]
    meta = answer.get("meta_info")
    if isinstance(meta, dict) and "prompt_tokens" in meta:
        cached = int(meta.get("cached_tokens") or 0)
        return Usage(1, int(meta["prompt_tokens"]), cached, int(meta.get("completion_tokens") or 0))
    timings = answer.get("timings")
    if isinstance(timings, dict) and "tokens_evaluated" in answer:
        cached, read = int(timings.get("cache_n") or 0), int(timings.get("prompt_n") or 0)
        return Usage(1, cached + read, cached, int(timings.get("predicted_n") or 0))
    usage = answer.get("usage")
    if not isinstance(usage, dict):
        return None
    details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
    return Usage(
        1,
        int(usage.get("prompt_tokens") or usage.get("input_tokens") or 0),
        int(details.get("cached_tokens") or 0),
        int(usage.get("completion_tokens") or usage.get("output_tokens") or 0),
    )
