"""`record`: what a model answers, written to a file that `replay` answers from."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from autocog_core.errors import InputError
from autocog_core.hooks.specs import hookimpl
from autocog_core.types.choice import ChoiceRequest
from autocog_core.types.completion import CompletionRequest
from autocog_core.types.prompt import Message
from autocog_core.types.token_tree import TreeQuery
from autocog_core.wrappers.call_key import is_drawn, key_of, query_key, tokens_key
from autocog_core.wrappers.recording import Recorder
from autocog_core.wrappers.wrapper import FilePath, Wrapper, WrapperOptions

Watching = Generator[None, Any, Any]
#: Hook, key, arguments, answer, and whether it is recorded though it is there already.
Call = tuple[str, bytes, Any, Any, bool]


class RecordOptions(WrapperOptions):
    """Options of `record`."""

    path: FilePath = Field(description="the file; one that ends in .gz is compressed")


class Record(Wrapper):
    """Records the calls that are made of a model, not those by which core answers one of them.

    What tokens stand for is recorded wherever it is asked, for core remembers some of it.
    It stands inside all wrappers, so that what they change is changed once more when it is
    replayed, and outside of lookups, so that it sees what a cache answers. Texts and token trees
    that are asked together are recorded each alone.
    """

    Options = RecordOptions
    handles_inner_calls = True

    def __init__(self, *, path: Path) -> None:
        self._path = path
        self._recorder: Recorder | None = None
        self._opening = threading.Lock()
        self._open = threading.local()

    @hookimpl(wrapper=True, trylast=True)
    def tokenize(self, texts: Sequence[str], at_start: bool, parse_special: bool) -> Watching:
        """Each text."""
        answer = yield
        for text, tokens in zip(texts, answer or (), strict=False):
            asked = {"text": text, "at_start": at_start, "parse_special": parse_special}
            self._add("tokenize", key_of("tokenize", *asked.values()), asked, tokens)
        return answer

    @hookimpl(wrapper=True, trylast=True)
    def detokenize(self, tokens: Sequence[int]) -> Watching:
        """The bytes of these ids."""
        answer = yield
        self._add("detokenize", tokens_key("detokenize", tokens), tokens, answer)
        return answer

    @hookimpl(wrapper=True, trylast=True)
    def greedy_impl(self, tokens: Sequence[int]) -> Watching:
        """The row after these ids."""
        answer = yield from self._inside()
        self._add_outermost("greedy_impl", tokens_key("greedy_impl", tokens), tokens, answer)
        return answer

    @hookimpl(wrapper=True, trylast=True)
    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> Watching:
        """Each tree."""
        answer = yield from self._inside()
        for query, scores in zip(queries, answer or (), strict=False):
            self._add_outermost("greedy_tree_impl", query_key(query), query, scores)
        return answer

    @hookimpl(wrapper=True, trylast=True)
    def complete(self, request: CompletionRequest) -> Watching:
        """The completion; each one where they are drawn anew each time."""
        answer = yield from self._inside()
        self._add_outermost(
            "complete", key_of("complete", request), request, answer, always=is_drawn(request)
        )
        return answer

    @hookimpl(wrapper=True, trylast=True)
    def choose(self, request: ChoiceRequest) -> Watching:
        """The choice."""
        answer = yield from self._inside()
        self._add_outermost("choose", key_of("choose", request), request, answer)
        return answer

    @hookimpl(wrapper=True, trylast=True)
    def vocabulary(self) -> Watching:
        """All surfaces."""
        answer = yield
        self._add("vocabulary", key_of("vocabulary"), (), answer)
        return answer

    @hookimpl(wrapper=True, trylast=True)
    def chat_prompt(self, messages: Sequence[Message], add_generation_prompt: bool) -> Watching:
        """The prompt of these messages."""
        answer = yield
        key = key_of("chat_prompt", list(messages), add_generation_prompt)
        self._add("chat_prompt", key, messages, answer)
        return answer

    @hookimpl(wrapper=True, trylast=True)
    def describe(self) -> Watching:
        """It is in the first line. What core asks to describe a model is not recorded."""
        before = getattr(self._open, "describes", False)
        self._open.describes = True
        try:
            return (yield from self._inside())
        finally:
            self._open.describes = before

    @hookimpl(tryfirst=True)
    def close(self) -> None:
        """Close the file."""
        if self._recorder is not None:
            self._recorder.close()
            self._recorder = None

    def _inside(self) -> Watching:
        """Waits for the answer, and knows meanwhile that other calls are made for it."""
        self._open.depth = self._depth() + 1
        try:
            return (yield)
        finally:
            self._open.depth -= 1

    def _depth(self) -> int:
        depth: int = getattr(self._open, "depth", 0)
        return depth

    def _add_outermost(
        self, hook: str, key: bytes | None, asked: Any, answer: Any, *, always: bool = False
    ) -> None:
        if self._depth() == 0:
            self._add(hook, key, asked, answer, always=always)

    def _add(
        self, hook: str, key: bytes | None, asked: Any, answer: Any, *, always: bool = False
    ) -> None:
        if answer is None or getattr(self._open, "describes", False):
            return
        if key is None:
            raise InputError(
                "its arguments cannot be recorded",
                where=f"record, {hook}",
                hint="give only numbers, texts, lists and tables of these",
            )
        call = (hook, key, asked, answer, always)
        waiting: list[Call] | None = getattr(self._open, "waiting", None)
        if waiting is not None:
            # Asked by a wrapper's own `describe`, which is only now told what is recorded.
            waiting.append(call)
            return
        self._open.waiting = waiting = [call]
        try:
            recorder = self._opened()
        finally:
            self._open.waiting = None
        for each in waiting:
            recorder.add(*each)

    def _opened(self) -> Recorder:
        # Not before: what a model is may be known only once it answers.
        place = self.place()
        info, capabilities = place.info, place.client.capabilities
        with self._opening:
            if self._recorder is None:
                self._recorder = Recorder(self._path, info, capabilities)
            return self._recorder
