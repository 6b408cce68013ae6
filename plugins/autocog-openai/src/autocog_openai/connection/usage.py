"""The usage that servers report with their answers, and its sum."""

from __future__ import annotations

import threading
from typing import Any

from autocog_core import Usage
from autocog_openai.connection.answer_fields import FieldError, as_count, optional, required


class UsageCounter:
    """The sum of the usage of several requests. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._has_usage = False
        self._usage = Usage()

    def add(self, usage: Usage | None) -> None:
        """Add the usage of one answer; None if the answer reports none."""
        if usage is not None:
            with self._lock:
                self._has_usage, self._usage = True, self._usage + usage

    @property
    def usage(self) -> Usage:
        """The sum."""
        with self._lock:
            return self._usage

    @property
    def tokens_evaluated(self) -> int | None:
        """Uncached prompt tokens plus generated tokens; None if nothing was reported."""
        usage = self.usage
        if not self._has_usage:
            return None
        return max(0, usage.prompt_tokens - usage.cached_tokens) + usage.completion_tokens


def usage_of(answer: Any) -> Usage | None:
    """Return the usage that an answer reports; None if there is none, or it is malformed."""
    try:
        return _parse_usage(answer)
    except FieldError:
        return None


def _parse_usage(answer: Any) -> Usage | None:
    if isinstance(answer, list):
        usages = [usage for usage in map(_parse_usage, answer) if usage is not None]
        return sum(usages[1:], usages[0]) if usages else None
    if not isinstance(answer, dict):
        return None
    if isinstance(answer.get("response"), dict):
        # The last event of the responses route contains the whole answer.
        answer = answer["response"]
    meta = answer.get("meta_info")
    if isinstance(meta, dict) and "prompt_tokens" in meta:
        return Usage(
            requests=1,
            prompt_tokens=required(meta, "prompt_tokens", as_count),
            cached_tokens=_count(meta, "cached_tokens"),
            completion_tokens=_count(meta, "completion_tokens"),
        )
    timings = answer.get("timings")
    if isinstance(timings, dict) and "tokens_evaluated" in answer:
        cached = _count(timings, "cache_n")
        return Usage(
            requests=1,
            prompt_tokens=cached + _count(timings, "prompt_n"),
            cached_tokens=cached,
            completion_tokens=_count(timings, "predicted_n"),
        )
    usage = answer.get("usage")
    if not isinstance(usage, dict):
        return None
    details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
    return Usage(
        requests=1,
        prompt_tokens=_count(usage, "prompt_tokens") or _count(usage, "input_tokens"),
        cached_tokens=_count(details, "cached_tokens"),
        completion_tokens=_count(usage, "completion_tokens") or _count(usage, "output_tokens"),
    )


def _count(parent: Any, name: str) -> int:
    return optional(parent, name, as_count) or 0
