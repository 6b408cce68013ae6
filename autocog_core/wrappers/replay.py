"""The backend `replay`: answers from a recording, without the recorded model."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from autocog_core.config.options import FilePath
from autocog_core.errors import EngineError, InputError
from autocog_core.hooks.specs import CONTRACT_VERSION, hookimpl
from autocog_core.types.backend_info import BackendInfo
from autocog_core.types.choice import ChoiceRequest, ChoiceScores
from autocog_core.types.completion import Completion, CompletionRequest
from autocog_core.types.prompt import Message, Prompt
from autocog_core.types.token_tree import TreeQuery, TreeScores
from autocog_core.types.top_choices import TopChoices
from autocog_core.wrappers.call_key import (
    is_nondeterministic,
    make_chat_key,
    make_key,
    make_query_key,
    make_tokens_key,
)
from autocog_core.wrappers.recording import Recording, read_recording
from autocog_core.wrappers.serialization import Packed, unpack
from autocog_core.wrappers.summaries import summarize_value
from autocog_core.wrappers.wrapper import WrapperOptions

#: Hooks that core implements for backends that do not.
CORE_HOOKS = {"choose", "complete", "greedy_tree_impl"}


class NotRecordedError(EngineError):
    """The recording has no answer to a call."""


class ReplayOptions(WrapperOptions):
    """Options of `replay`."""

    path: FilePath = Field(description='the file that the wrapper "record" has written')


class Replay:
    """A backend with the answers, the description and the fingerprint of the recorded model.

    A call that was not recorded raises `NotRecordedError`, even if core could compute its answer
    from other calls: a replay must not depend on what else the file contains.

    :param recording: the recording.
    :param path: its file, for error messages.
    :param completion_kwargs: defaults of completions.
    """

    contract: ClassVar[int] = CONTRACT_VERSION
    Options: ClassVar[type[ReplayOptions]] = ReplayOptions
    #: The recorded calls of `complete` are those of the model, also if core answered them.
    replays_constrained_texts: ClassVar[bool] = True

    @classmethod
    def create(cls, path: Path) -> dict[str, Any]:
        """Read the recording, and return the constructor's arguments.

        :param path: the file.
        :raises InputError: if it cannot be read, or is not a recording.
        """
        return {"recording": read_recording(path), "path": path}

    def __init__(
        self,
        *,
        recording: Recording,
        path: Path,
        completion_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self.completion_kwargs = dict(completion_kwargs or {})
        self._recording = recording
        self._path = path
        capabilities = frozenset(recording.info.capabilities or ())
        self._recorded_hooks = capabilities | CORE_HOOKS
        #: If core scored the choices, the recording has their trees, not the `choose` calls.
        self.handles_inner_calls = "choose" not in capabilities
        #: By key: number of answers of a nondeterministic call that were replayed.
        self._replayed: dict[bytes, int] = {}
        self._lock = threading.Lock()

    @hookimpl
    def describe(self) -> BackendInfo:
        return self._recording.info

    @hookimpl
    def tokenize(
        self, texts: Sequence[str], at_start: bool, parse_special: bool
    ) -> list[list[int]] | None:
        tokens_of_texts = []
        for text in texts:
            arguments = {"text": text, "at_start": at_start, "parse_special": parse_special}
            key = make_key("tokenize", *arguments.values())
            tokens = self._answer("tokenize", key, arguments)
            if tokens is None:
                return None
            tokens_of_texts.append(tokens)
        return tokens_of_texts

    @hookimpl
    def detokenize(self, tokens: Sequence[int]) -> bytes | None:
        key = make_tokens_key("detokenize", tokens)
        text: bytes | None = self._answer("detokenize", key, tokens)
        return text

    @hookimpl
    def greedy_impl(self, tokens: Sequence[int]) -> NDArray[np.float32] | None:
        key = make_tokens_key("greedy_impl", tokens)
        row: NDArray[np.float32] | None = self._answer("greedy_impl", key, tokens)
        return row

    @hookimpl
    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        return [self._answer("greedy_tree_impl", make_query_key(query), query) for query in queries]

    @hookimpl
    def complete(self, request: CompletionRequest) -> Completion | None:
        key = make_key("complete", request)
        index = self._next_index(key) if key is not None and is_nondeterministic(request) else 0
        completion: Completion | None = self._answer("complete", key, request, index)
        if completion is not None and completion.text and request.on_text is not None:
            request.on_text(completion.text)
        return completion

    @hookimpl
    def choose(self, request: ChoiceRequest) -> ChoiceScores | TopChoices | None:
        key = make_key("choose", request)
        scores: ChoiceScores | TopChoices | None = self._answer("choose", key, request)
        return scores

    @hookimpl
    def vocabulary(self) -> Sequence[bytes] | None:
        surfaces: Sequence[bytes] | None = self._answer("vocabulary", make_key("vocabulary"), ())
        return surfaces

    @hookimpl
    def chat_prompt(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool,
        template_arguments: Mapping[str, Any],
    ) -> Prompt | None:
        key = make_chat_key(messages, add_generation_prompt, template_arguments)
        prompt: Prompt | None = self._answer("chat_prompt", key, messages)
        return prompt

    def _answer(self, hook: str, key: bytes | None, arguments: Any, index: int = 0) -> Any:
        """Return the answer at `index` for a key; None if the model does not implement the hook."""
        answers = self._recording.answers.get(key.hex(), ()) if key is not None else ()
        if index < len(answers):
            return self._unpack(hook, answers[index])
        if hook not in self._recorded_hooks:
            return None
        times = f" {index + 1} times" if index else ""
        raise NotRecordedError(
            f"{hook} of {summarize_value(arguments)} was not recorded{times}",
            where=str(self._path),
            hint='repeat the calls on the recorded model, with the wrapper "record" and this file',
        )

    def _unpack(self, hook: str, packed: Packed) -> Any:
        try:
            return unpack(hook, packed)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InputError(
                f"an answer of {hook} is damaged",
                where=str(self._path),
                hint='record again with the wrapper "record"',
            ) from error

    def _next_index(self, key: bytes) -> int:
        with self._lock:
            index = self._replayed.get(key, 0)
            self._replayed[key] = index + 1
            return index
