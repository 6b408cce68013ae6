"""The wrapper `cache`: answers of backends in a file, so that each is computed once."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from autocog_core.config.cache_folder import cache_folder
from autocog_core.config.options import FilePath
from autocog_core.errors import ContractError
from autocog_core.hooks.answer_checks import LOGPROB_TOLERANCE
from autocog_core.hooks.specs import hookimpl
from autocog_core.lazy import lazy
from autocog_core.types.choice import ChoiceRequest, ChoiceScores
from autocog_core.types.completion import Completion, CompletionRequest
from autocog_core.types.token_tree import TreeQuery, TreeScores
from autocog_core.types.top_choices import TopChoices
from autocog_core.version import __version__
from autocog_core.wrappers.call_key import (
    is_nondeterministic,
    make_key,
    make_query_key,
    make_tokens_key,
)
from autocog_core.wrappers.serialization import Packed, pack, unpack
from autocog_core.wrappers.store import ByteStore
from autocog_core.wrappers.wrapper import Wrapper, WrapperOptions

BYTES_PER_GB = 10**9
#: The hook that answers several queries, and its parameter, by the name of the stored answers.
_MANY = {
    "greedy_tree_impl": ("greedy_tree_impl", "queries"),
    "choose": ("choose_many", "requests"),
}
log = logging.getLogger(__name__)


class CacheOptions(WrapperOptions):
    """Options of `cache`."""

    path: FilePath | None = Field(
        default=None, description="the file; without it, one in the cache folder"
    )
    max_size_gb: float = Field(default=1.0, gt=0, description="maximum size in 10^9 bytes")


class Cache(Wrapper):
    """A wrapper that answers calls that the same model has answered before, in any process.

    It stores the backend's own answers, before wrappers change them. It does not store what core
    computes from other hooks, because other wrappers may affect that. A backend without a
    fingerprint is not cached.
    """

    Options = CacheOptions
    handles_inner_calls = True

    def __init__(self, *, path: Path | None = None, max_size_gb: float = 1.0) -> None:
        self._store = ByteStore(
            path or cache_folder("answers") / "answers.sqlite", int(max_size_gb * BYTES_PER_GB)
        )
        self._is_reading_identity = False

    @hookimpl(tryfirst=True)
    def greedy_impl(self, tokens: Sequence[int]) -> NDArray[np.float32] | None:
        """Return the stored row after `tokens`, or the backend's."""
        key = self._key("greedy_impl", make_tokens_key("greedy_impl", tokens))
        row: NDArray[np.float32] | None = self._load_or_call("greedy_impl", key, tokens=tokens)
        return row

    @hookimpl(tryfirst=True)
    def complete(self, request: CompletionRequest) -> Completion | None:
        """Return the stored completion, or the backend's. Sampling without a seed is not stored."""
        if is_nondeterministic(request):
            return None
        key = self._key("complete", make_key("complete", request))
        completion: Completion | None = self._load("complete", key)
        if completion is None:
            completion = self._call("complete", key, request=request)
        elif request.on_text is not None and completion.text:
            request.on_text(completion.text)
        return completion

    @hookimpl(tryfirst=True)
    def choose(self, request: ChoiceRequest) -> ChoiceScores | TopChoices | None:
        """Return the stored scores, or those of a backend that scores choices itself."""
        key = self._key("choose", make_key("choose", request))
        scores: ChoiceScores | TopChoices | None = self._load_or_call(
            "choose", key, request=request
        )
        return scores

    @hookimpl(tryfirst=True)
    def choose_many(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceScores] | None:
        """Return the scores of requests; one call of the backend answers the missing ones."""
        all_keys = [self._key("choose", make_key("choose", request)) for request in requests]
        keys = [key for key in all_keys if key is not None]
        if len(keys) < len(requests):
            return None
        scores = self._load_or_call_all("choose", dict(zip(keys, requests, strict=True)))
        return None if scores is None else [scores[key] for key in keys]

    @hookimpl(tryfirst=True)
    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> list[TreeScores] | None:
        """Return the scores of token trees; one call of the backend evaluates the missing trees."""
        hook = "greedy_tree_impl"
        all_keys = [self._key(hook, make_query_key(query)) for query in queries]
        keys = [key for key in all_keys if key is not None]
        if len(keys) < len(queries):
            return None
        scores_by_key = self._load_or_call_all(hook, dict(zip(keys, queries, strict=True)))
        if scores_by_key is None:
            return None
        # Callers may change their answers, so a repeated query has a copy. It has the original
        # cost, so that the bytes of a run do not depend on which rows share a call.
        returned: set[bytes] = set()
        answers = []
        for key in keys:
            scores = scores_by_key[key]
            answers.append(_copy(scores) if key in returned else scores)
            returned.add(key)
        return answers

    @hookimpl(tryfirst=True)
    def close(self) -> None:
        """Close the file."""
        self._store.close()

    def _load_or_call_all(self, hook: str, queries: dict[bytes, Any]) -> dict[bytes, Any] | None:
        """Return the answers to queries by their keys; one inner call answers the missing ones.

        :param hook: "greedy_tree_impl" or "choose", under whose name the answers are stored.
        :returns: the answers, or None if there is no answer to what is missing.
        """
        stored = ((key, self._load(hook, key)) for key in queries)
        answers = {key: answer for key, answer in stored if answer is not None}
        missing = {key: query for key, query in queries.items() if key not in answers}
        if not missing:
            return answers
        called, parameter = _MANY[hook]
        new, is_from_backend = self.context().call_inner(
            called, **{parameter: list(missing.values())}
        )
        if new is None:
            return None
        if len(new) != len(missing):
            raise ContractError(
                f"{called}: {len(new)} answers for {len(missing)} {parameter}",
                where=self.context().name,
            )
        for (key, query), answer in zip(missing.items(), new, strict=True):
            answers[key] = answer
            is_tree = isinstance(query, TreeQuery)
            if is_from_backend and not (is_tree and answer.values.shape != query.tokens.shape):
                self._save(hook, key, answer)
        return answers

    def _key(self, hook: str, call_key: bytes | None) -> bytes | None:
        """Return the key of a call of this model; None if the call is not cached."""
        # Core describes a backend without `describe` by calls that the cache must not answer.
        if call_key is None or not {hook, "describe"} <= self.context().backend_hooks:
            return None
        identity = self._model_identity
        return make_key(hook, *identity, __version__, call_key.hex()) if identity else None

    @lazy
    def _model_identity(self) -> tuple[object, ...]:
        """What distinguishes the model from others; empty if it must not be cached."""
        if self._is_reading_identity:
            # A wrapper calls the model in its `describe`: the model is not known yet.
            return ()
        self._is_reading_identity = True
        try:
            return self._read_identity()
        finally:
            self._is_reading_identity = False

    def _read_identity(self) -> tuple[object, ...]:
        context = self.context()
        info = context.info
        try:
            fingerprint = info.fingerprint
        except (OSError, ValueError) as error:
            log.warning("cache: %s has no fingerprint (%s) and is not cached", context.name, error)
            return ()
        if not fingerprint:
            return ()
        # A fingerprint may cover too little, and a shorter context refuses longer prompts.
        return (
            fingerprint,
            type(context.backend).__qualname__,
            info.vocabulary_size,
            info.context_length,
        )

    def _load_or_call(self, hook: str, key: bytes | None, **arguments: Any) -> Any:
        answer = self._load(hook, key)
        return self._call(hook, key, **arguments) if answer is None else answer

    def _load(self, hook: str, key: bytes | None) -> Any:
        value = None if key is None else self._store.get(key)
        if value is None:
            return None
        size = int.from_bytes(value[:4], "little")
        try:
            head = json.loads(value[4 : 4 + size])
            return unpack(hook, Packed(head, value[4 + size :]))
        except (ValueError, TypeError, KeyError, IndexError):
            # The value is intact, but another program stored it.
            return None

    def _call(self, hook: str, key: bytes | None, **arguments: Any) -> Any:
        if key is None:
            return None
        answer, is_from_backend = self.context().call_inner(hook, **arguments)
        if answer is not None and is_from_backend:
            self._save(hook, key, answer)
        return answer

    def _save(self, hook: str, key: bytes, answer: Any) -> None:
        if not self._is_valid(hook, answer):
            return
        try:
            head, raw = pack(hook, answer)
        except (TypeError, ValueError, AttributeError):
            # The answer is not of the hook's type; the caller raises an error for it.
            return
        encoded = json.dumps(head, separators=(",", ":")).encode()
        self._store.put(key, len(encoded).to_bytes(4, "little") + encoded + raw)

    def _is_valid(self, hook: str, answer: Any) -> bool:
        """Whether core accepts the answer: a refused answer must not be stored."""
        match hook:
            case "greedy_impl":
                size = self.context().info.vocabulary_size
                return getattr(answer, "shape", None) == (size,) and _are_logprobs(answer)
            case "greedy_tree_impl":
                return _are_logprobs(answer.values) and _are_logprobs(answer.top_logprobs)
            case "complete":
                return _are_logprobs(np.array(answer.logprobs or ()))
        return True


def _copy(scores: TreeScores) -> TreeScores:
    return TreeScores(
        values=scores.values.copy(),
        top_tokens=scores.top_tokens.copy(),
        top_logprobs=scores.top_logprobs.copy(),
        tokens_evaluated=scores.tokens_evaluated,
        mask_logprobs=None if scores.mask_logprobs is None else scores.mask_logprobs.copy(),
    )


def _are_logprobs(values: NDArray[Any]) -> bool:
    # The maximum is NaN if any value is; the comparison is then false.
    return bool(values.max(initial=-np.inf) <= LOGPROB_TOLERANCE)
