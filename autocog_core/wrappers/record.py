"""The wrapper `record`: writes a model's answers to a file from which `replay` answers."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from autocog_core.config.options import FilePath
from autocog_core.errors import InputError
from autocog_core.hooks.specs import hookimpl
from autocog_core.types.choice import ChoiceRequest
from autocog_core.types.completion import CompletionRequest
from autocog_core.types.prompt import Message, Prompt
from autocog_core.types.token_tree import TreeQuery
from autocog_core.wrappers.call_key import (
    is_nondeterministic,
    make_chat_key,
    make_key,
    make_query_key,
    make_tokens_key,
)
from autocog_core.wrappers.recording import Call, Recorder
from autocog_core.wrappers.wrapper import HookWrapper, Wrapper, WrapperOptions


class RecordOptions(WrapperOptions):
    """Options of `record`."""

    path: FilePath = Field(description="the file; if its name ends in .gz, it is compressed")


class Record(Wrapper):
    """A wrapper that records calls of a model, but not the inner calls by which core answers them.

    Tokenization is recorded in inner calls too, because core remembers some results. The texts
    and token trees of a call are recorded one by one.

    `record` is inside all other wrappers: a replay applies their changes again. It is outside
    lookups, so it records the answers of a cache too.
    """

    Options = RecordOptions
    handles_inner_calls = True

    def __init__(self, *, path: Path) -> None:
        self._path = path
        self._recorder: Recorder | None = None
        self._prompts: dict[bytes, Prompt] = {}
        self._open_lock = threading.Lock()
        self._local = threading.local()

    @hookimpl(wrapper=True, trylast=True)
    def tokenize(self, texts: Sequence[str], at_start: bool, parse_special: bool) -> HookWrapper:
        """Record each text."""
        answer = yield
        for text, tokens in zip(texts, answer or (), strict=False):
            arguments = {"text": text, "at_start": at_start, "parse_special": parse_special}
            self._add("tokenize", make_key("tokenize", *arguments.values()), arguments, tokens)
        return answer

    @hookimpl(wrapper=True, trylast=True)
    def detokenize(self, tokens: Sequence[int]) -> HookWrapper:
        """Record the bytes of the ids."""
        answer = yield
        self._add("detokenize", make_tokens_key("detokenize", tokens), tokens, answer)
        return answer

    @hookimpl(wrapper=True, trylast=True)
    def greedy_impl(self, tokens: Sequence[int]) -> HookWrapper:
        """Record the row after the ids."""
        answer = yield from self._outer_call()
        self._add_outermost("greedy_impl", make_tokens_key("greedy_impl", tokens), tokens, answer)
        return answer

    @hookimpl(wrapper=True, trylast=True)
    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> HookWrapper:
        """Record each token tree."""
        answer = yield from self._outer_call()
        for query, scores in zip(queries, answer or (), strict=False):
            self._add_outermost("greedy_tree_impl", make_query_key(query), query, scores)
        return answer

    @hookimpl(wrapper=True, trylast=True)
    def complete(self, request: CompletionRequest) -> HookWrapper:
        """Record the completion."""
        answer = yield from self._outer_call()
        self._add_outermost(
            "complete",
            make_key("complete", request),
            request,
            answer,
            is_nondeterministic=is_nondeterministic(request),
        )
        return answer

    @hookimpl(wrapper=True, trylast=True)
    def choose(self, request: ChoiceRequest) -> HookWrapper:
        """Record the scores."""
        answer = yield from self._outer_call()
        self._add_outermost("choose", make_key("choose", request), request, answer)
        return answer

    @hookimpl(wrapper=True, trylast=True)
    def choose_many(self, requests: Sequence[ChoiceRequest]) -> HookWrapper:
        """Record the scores of each request, as those of a `choose`."""
        answer = yield from self._outer_call()
        for request, scores in zip(requests, answer or (), strict=False):
            self._add_outermost("choose", make_key("choose", request), request, scores)
        return answer

    @hookimpl(wrapper=True, trylast=True)
    def vocabulary(self) -> HookWrapper:
        """Record the vocabulary."""
        answer = yield
        self._add("vocabulary", make_key("vocabulary"), (), answer)
        return answer

    @hookimpl(wrapper=True, trylast=True)
    def chat_prompt(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool,
        template_arguments: Mapping[str, Any],
    ) -> HookWrapper:
        """Record the prompt of the messages.

        A template may write the time. Equal messages then keep their first prompt: a replay has
        only that one, and the other calls must fit it.
        """
        answer = yield
        key = make_chat_key(messages, add_generation_prompt, template_arguments)
        if answer is not None and key is not None:
            answer = self._prompts.setdefault(key, answer)
        self._add("chat_prompt", key, messages, answer)
        return answer

    @hookimpl(wrapper=True, trylast=True)
    def describe(self) -> HookWrapper:
        """Record nothing: the file's first line has the description."""
        was_describing = self._is_describing()
        self._local.is_describing = True
        try:
            return (yield from self._outer_call())
        finally:
            self._local.is_describing = was_describing

    @hookimpl(tryfirst=True)
    def close(self) -> None:
        """Close the file."""
        if self._recorder is not None:
            self._recorder.close()
            self._recorder = None

    def _outer_call(self) -> HookWrapper:
        """Wait for the answer; calls of this thread meanwhile are inner calls."""
        self._local.depth = self._depth() + 1
        try:
            return (yield)
        finally:
            self._local.depth -= 1

    def _depth(self) -> int:
        depth: int = getattr(self._local, "depth", 0)
        return depth

    def _is_describing(self) -> bool:
        return getattr(self._local, "is_describing", False)

    def _add_outermost(
        self,
        hook: str,
        key: bytes | None,
        arguments: Any,
        answer: Any,
        *,
        is_nondeterministic: bool = False,
    ) -> None:
        if self._depth() == 0:
            self._add(hook, key, arguments, answer, is_nondeterministic=is_nondeterministic)

    def _add(
        self,
        hook: str,
        key: bytes | None,
        arguments: Any,
        answer: Any,
        *,
        is_nondeterministic: bool = False,
    ) -> None:
        if answer is None or self._is_describing():
            return
        if key is None:
            raise InputError(
                "the arguments cannot be recorded",
                where=f"record, {hook}",
                hint="use only numbers, texts, lists and mappings",
            )
        call = Call(
            hook=hook,
            key=key,
            arguments=arguments,
            answer=answer,
            is_nondeterministic=is_nondeterministic,
        )
        pending: list[Call] | None = getattr(self._local, "pending", None)
        if pending is not None:
            # A wrapper makes this call in its `describe`, while the recorder is being opened.
            pending.append(call)
            return
        self._local.pending = pending = [call]
        try:
            recorder = self._open_recorder()
        finally:
            self._local.pending = None
        for pending_call in pending:
            recorder.add(pending_call)

    def _open_recorder(self) -> Recorder:
        # At the first answer: until then, the model may not know its description.
        context = self.context()
        info, capabilities = context.info, context.client.capabilities
        with self._open_lock:
            if self._recorder is None:
                self._recorder = Recorder(self._path, info, capabilities)
            return self._recorder
