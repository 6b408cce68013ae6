"""`replay`: a backend that answers from a recording, without the model that was recorded."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from autocog_core.errors import EngineError, InputError
from autocog_core.hooks.specs import CONTRACT_VERSION, hookimpl
from autocog_core.types.backend_info import BackendInfo
from autocog_core.types.choice import ChoiceRequest, ChoiceScores
from autocog_core.types.completion import Completion, CompletionRequest
from autocog_core.types.prompt import Message, Prompt
from autocog_core.types.token_tree import TreeQuery, TreeScores
from autocog_core.wrappers.call_key import is_drawn, key_of, query_key, tokens_key
from autocog_core.wrappers.recording import Recording, read_recording
from autocog_core.wrappers.serialization import Packed, unpack
from autocog_core.wrappers.summaries import short
from autocog_core.wrappers.wrapper import FilePath, WrapperOptions

#: What core makes of other hooks, for models whose backends do not offer it.
MADE_BY_CORE = {"choose", "complete", "greedy_tree_impl"}


class NotRecordedError(EngineError):
    """The recording has no answer to a call."""


class ReplayOptions(WrapperOptions):
    """Options of `replay`."""

    path: FilePath = Field(description='the file that the wrapper "record" has written')


class Replay:
    """Stands in for the model that was recorded: the same answers, facts and fingerprint.

    A call that was not recorded is a `NotRecordedError`, also where core could make an answer of
    others: a replay must not depend on what else happens to be in the file.
    """

    contract: ClassVar[int] = CONTRACT_VERSION
    Options: ClassVar[type[ReplayOptions]] = ReplayOptions

    @classmethod
    def create(cls, path: Path) -> dict[str, Any]:
        """Read the recording.

        :raises InputError: if it cannot be read, or is none.
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
        offered = frozenset(recording.info.capabilities or ())
        self._answered = offered | MADE_BY_CORE
        #: Where core chose, it was asked for many choices together by their trees.
        self.handles_inner_calls = "choose" not in offered
        #: By key: how many of the answers to a request that is drawn anew were given.
        self._given: dict[bytes, int] = {}
        self._giving = threading.Lock()

    @hookimpl
    def describe(self) -> BackendInfo:
        return self._recording.info

    @hookimpl
    def tokenize(
        self, texts: Sequence[str], at_start: bool, parse_special: bool
    ) -> list[list[int]] | None:
        found = []
        for text in texts:
            asked = {"text": text, "at_start": at_start, "parse_special": parse_special}
            tokens = self._answer("tokenize", key_of("tokenize", *asked.values()), asked)
            if tokens is None:
                return None
            found.append(tokens)
        return found

    @hookimpl
    def detokenize(self, tokens: Sequence[int]) -> bytes | None:
        text: bytes | None = self._answer("detokenize", tokens_key("detokenize", tokens), tokens)
        return text

    @hookimpl
    def greedy_impl(self, tokens: Sequence[int]) -> NDArray[np.float32] | None:
        key = tokens_key("greedy_impl", tokens)
        row: NDArray[np.float32] | None = self._answer("greedy_impl", key, tokens)
        return row

    @hookimpl
    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        return [self._answer("greedy_tree_impl", query_key(query), query) for query in queries]

    @hookimpl
    def complete(self, request: CompletionRequest) -> Completion | None:
        key = key_of("complete", request)
        place = self._next(key) if key is not None and is_drawn(request) else 0
        found: Completion | None = self._answer("complete", key, request, place)
        if found is not None and found.text and request.on_text is not None:
            request.on_text(found.text)
        return found

    @hookimpl
    def choose(self, request: ChoiceRequest) -> ChoiceScores | None:
        scores: ChoiceScores | None = self._answer("choose", key_of("choose", request), request)
        return scores

    @hookimpl
    def vocabulary(self) -> Sequence[bytes] | None:
        surfaces: Sequence[bytes] | None = self._answer("vocabulary", key_of("vocabulary"), ())
        return surfaces

    @hookimpl
    def chat_prompt(
        self, messages: Sequence[Message], add_generation_prompt: bool
    ) -> Prompt | None:
        key = key_of("chat_prompt", list(messages), add_generation_prompt)
        prompt: Prompt | None = self._answer("chat_prompt", key, messages)
        return prompt

    def _answer(self, hook: str, key: bytes | None, asked: Any, place: int = 0) -> Any:
        """The answer at `place` among those to this call; None if the model did not offer it."""
        answers = self._recording.answers.get(key.hex(), ()) if key is not None else ()
        if place < len(answers):
            return self._unpacked(hook, answers[place])
        if hook not in self._answered:
            return None
        often = f" {place + 1} times" if place else ""
        raise NotRecordedError(
            f"{hook} of {short(asked)} was not recorded{often}",
            where=str(self._path),
            hint='make the same calls of the model itself, with the wrapper "record" and this file',
        )

    def _unpacked(self, hook: str, packed: Packed) -> Any:
        try:
            return unpack(hook, packed)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise InputError(
                f"an answer of {hook} is damaged",
                where=str(self._path),
                hint='record it anew with the wrapper "record"',
            ) from error

    def _next(self, key: bytes) -> int:
        with self._giving:
            place = self._given.get(key, 0)
            self._given[key] = place + 1
            return place
