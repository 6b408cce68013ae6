"""The wrapper `trace`: each hook call as a line of JSON, or as an OpenTelemetry span."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from pydantic import Field

from autocog_core.config.options import FilePath
from autocog_core.redaction import redact
from autocog_core.wrappers.jsonl_file import JsonlFile
from autocog_core.wrappers.otel_spans import OtelSpans
from autocog_core.wrappers.summaries import count_tokens, summarize_value
from autocog_core.wrappers.watching import Watching
from autocog_core.wrappers.wrapper import Wrapper, WrapperOptions

#: Default file, in the current folder.
FILE_NAME = "trace.jsonl"


class TraceOptions(WrapperOptions):
    """Options of `trace`."""

    path: FilePath | None = Field(
        default=None, description="the file; without it and without spans, trace.jsonl"
    )
    spans: bool = Field(default=False, description="whether to create OpenTelemetry spans")


class Trace(Wrapper):
    """A wrapper that reports every hook call and changes none.

    Each line is written when its call ends, so inner calls precede outer ones.
    """

    Options = TraceOptions

    def __init__(self, *, path: Path | None = None, spans: bool = False) -> None:
        self._spans = OtelSpans() if spans else None
        to_file = path is not None or not spans
        self._file = JsonlFile(path or Path(FILE_NAME)) if to_file else None
        self._call_numbers = count(1)
        self._local = threading.local()

    def around(self, hook: str, arguments: Mapping[str, Any]) -> Watching:
        """Trace the call; after `close`, close the file."""
        if not arguments.get("template_arguments"):
            arguments = {
                name: value for name, value in arguments.items() if name != "template_arguments"
            }
        try:
            yield from self._traced(hook, arguments)
        finally:
            if hook == "close" and self._file is not None:
                self._file.close()

    def _traced(self, hook: str, arguments: Mapping[str, Any]) -> Watching:
        open_calls: list[int] = self._local.__dict__.setdefault("open_calls", [])
        event: dict[str, Any] = {
            "time": datetime.now(UTC).isoformat(),
            "model": self.context().name,
            "hook": hook,
            "call": next(self._call_numbers),
            "parent": open_calls[-1] if open_calls else None,
            "arguments": {name: summarize_value(value) for name, value in arguments.items()},
        }
        open_calls.append(event["call"])
        answer: Any = None
        with nullcontext() if self._spans is None else self._spans.span(event):
            start = time.perf_counter()
            try:
                answer = yield
            except BaseException as error:
                event["error"] = f"{type(error).__name__}: {redact(str(error))}"
                raise
            finally:
                event["seconds"] = round(time.perf_counter() - start, 9)
                open_calls.pop()
                if "error" not in event:
                    event["answer"] = summarize_value(answer)
                event["tokens"] = count_tokens(hook, arguments, answer)
                self._emit(event)

    def _emit(self, event: dict[str, Any]) -> None:
        if self._file is not None:
            thread = threading.current_thread().name
            self._file.write({**event, "process": os.getpid(), "thread": thread})
