"""`trace`: every hook call as a line of JSON, or as an OpenTelemetry span."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from pydantic import Field

from autocog_core.hooks.specs import hookimpl
from autocog_core.redaction import redact
from autocog_core.types.choice import ChoiceRequest
from autocog_core.types.completion import CompletionRequest
from autocog_core.types.prompt import Message
from autocog_core.types.token_tree import TreeQuery
from autocog_core.wrappers.jsonl_file import LineFile
from autocog_core.wrappers.otel_spans import Spans
from autocog_core.wrappers.summaries import short, token_counts
from autocog_core.wrappers.wrapper import FilePath, Wrapper, WrapperOptions

#: Where lines go if nothing else is said, in the current folder.
FILE_NAME = "trace.jsonl"

Watching = Generator[None, Any, Any]


class TraceOptions(WrapperOptions):
    """Options of `trace`."""

    path: FilePath | None = Field(
        default=None, description=f"the file; without it and without spans, {FILE_NAME}"
    )
    spans: bool = Field(default=False, description="whether to make OpenTelemetry spans")


class Trace(Wrapper):
    """Watches every hook and changes nothing.

    A line is written when its call ends, so those of the calls inside of it come before it.
    """

    Options = TraceOptions
    handles_inner_calls = True

    def __init__(self, *, path: Path | None = None, spans: bool = False) -> None:
        self._spans = Spans() if spans else None
        to_file = path is not None or not spans
        self._lines = LineFile(path or Path(FILE_NAME)) if to_file else None
        self._numbers = count(1)
        self._open = threading.local()

    @hookimpl(wrapper=True)
    def tokenize(self, texts: Sequence[str], at_start: bool, parse_special: bool) -> Watching:
        """Watched."""
        return (
            yield from self._watch(
                "tokenize", texts=texts, at_start=at_start, parse_special=parse_special
            )
        )

    @hookimpl(wrapper=True)
    def detokenize(self, tokens: Sequence[int]) -> Watching:
        """Watched."""
        return (yield from self._watch("detokenize", tokens=tokens))

    @hookimpl(wrapper=True)
    def greedy_impl(self, tokens: Sequence[int]) -> Watching:
        """Watched."""
        return (yield from self._watch("greedy_impl", tokens=tokens))

    @hookimpl(wrapper=True)
    def complete(self, request: CompletionRequest) -> Watching:
        """Watched."""
        return (yield from self._watch("complete", request=request))

    @hookimpl(wrapper=True)
    def choose(self, request: ChoiceRequest) -> Watching:
        """Watched."""
        return (yield from self._watch("choose", request=request))

    @hookimpl(wrapper=True)
    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> Watching:
        """Watched."""
        return (yield from self._watch("greedy_tree_impl", queries=queries))

    @hookimpl(wrapper=True)
    def vocabulary(self) -> Watching:
        """Watched."""
        return (yield from self._watch("vocabulary"))

    @hookimpl(wrapper=True)
    def chat_prompt(self, messages: Sequence[Message], add_generation_prompt: bool) -> Watching:
        """Watched."""
        return (
            yield from self._watch(
                "chat_prompt", messages=messages, add_generation_prompt=add_generation_prompt
            )
        )

    @hookimpl(wrapper=True)
    def describe(self) -> Watching:
        """Watched."""
        return (yield from self._watch("describe"))

    @hookimpl(wrapper=True)
    def usage(self) -> Watching:
        """Watched."""
        return (yield from self._watch("usage"))

    @hookimpl(wrapper=True)
    def close(self) -> Watching:
        """Watched; then the file is closed."""
        try:
            return (yield from self._watch("close"))
        finally:
            if self._lines is not None:
                self._lines.close()

    def _watch(self, hook: str, **arguments: Any) -> Watching:
        within: list[int] = self._open.__dict__.setdefault("calls", [])
        told: dict[str, Any] = {
            "time": datetime.now(UTC).isoformat(),
            "model": self.place().name,
            "hook": hook,
            "call": next(self._numbers),
            "within": within[-1] if within else None,
            "arguments": {name: short(value) for name, value in arguments.items()},
        }
        within.append(told["call"])
        answer: Any = None
        with self._span(told):
            start = time.perf_counter()
            try:
                answer = yield
            except BaseException as error:
                told["error"] = f"{type(error).__name__}: {redact(str(error))}"
                raise
            finally:
                told["seconds"] = round(time.perf_counter() - start, 9)
                within.pop()
                if "error" not in told:
                    told["answer"] = short(answer)
                told["tokens"] = token_counts(hook, arguments, answer)
                self._tell(told)
        return answer

    def _span(self, told: dict[str, Any]) -> AbstractContextManager[None]:
        return nullcontext() if self._spans is None else self._spans.span(told)

    def _tell(self, told: dict[str, Any]) -> None:
        if self._lines is not None:
            thread = threading.current_thread().name
            self._lines.write({**told, "process": os.getpid(), "thread": thread})
