"""`cache`: distributions, choices and completions kept on disk, and not asked for twice."""

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
from autocog_core.errors import ContractError
from autocog_core.hooks.client import LOGPROB_TOLERANCE
from autocog_core.hooks.specs import hookimpl
from autocog_core.lazy import lazy
from autocog_core.types.choice import ChoiceRequest, ChoiceScores
from autocog_core.types.completion import Completion, CompletionRequest
from autocog_core.types.token_tree import TreeQuery, TreeScores
from autocog_core.version import __version__
from autocog_core.wrappers.call_key import is_drawn, key_of, query_key, tokens_key
from autocog_core.wrappers.serialization import Packed, pack, unpack
from autocog_core.wrappers.store import ByteStore
from autocog_core.wrappers.wrapper import FilePath, Wrapper, WrapperOptions

GIGABYTE = 10**9
log = logging.getLogger(__name__)


class CacheOptions(WrapperOptions):
    """Options of `cache`."""

    path: FilePath | None = Field(
        default=None, description="the file; without it, one in the cache folder"
    )
    max_size_gb: float = Field(default=1.0, gt=0, description="most 10^9 bytes in the file")


class Cache(Wrapper):
    """Answers what the same model has been asked before, in whatever process.

    Kept is what the backend itself answers, before any wrapper changes it. What core makes of
    other hooks is made again of these: other wrappers may have a part in it. A backend that tells
    no fingerprint is never cached.
    """

    Options = CacheOptions
    handles_inner_calls = True

    def __init__(self, *, path: Path | None = None, max_size_gb: float = 1.0) -> None:
        self._store = ByteStore(
            path or cache_folder("answers") / "answers.sqlite", int(max_size_gb * GIGABYTE)
        )
        self._asks_facts = False

    @hookimpl(tryfirst=True)
    def greedy_impl(self, tokens: Sequence[int]) -> NDArray[np.float32] | None:
        """The row after `tokens`."""
        key = self._key("greedy_impl", tokens_key("greedy_impl", tokens))
        row: NDArray[np.float32] | None = self._one("greedy_impl", key, tokens=tokens)
        return row

    @hookimpl(tryfirst=True)
    def complete(self, request: CompletionRequest) -> Completion | None:
        """A completion, unless it is drawn anew each time."""
        if is_drawn(request):
            return None
        key = self._key("complete", key_of("complete", request))
        found: Completion | None = self._kept("complete", key)
        if found is None:
            found = self._asked("complete", key, request=request)
        elif request.on_text is not None and found.text:
            request.on_text(found.text)
        return found

    @hookimpl(tryfirst=True)
    def choose(self, request: ChoiceRequest) -> ChoiceScores | None:
        """A choice, of a backend that scores choices itself."""
        key = self._key("choose", key_of("choose", request))
        scores: ChoiceScores | None = self._one("choose", key, request=request)
        return scores

    @hookimpl(tryfirst=True)
    def greedy_tree_impl(self, queries: Sequence[TreeQuery]) -> list[TreeScores] | None:
        """Token trees, each kept alone; those that are not kept are asked for together, once."""
        hook = "greedy_tree_impl"
        keys = [self._key(hook, query_key(query)) for query in queries]
        if None in keys:
            return None
        unique = dict(zip(keys, queries, strict=True))
        found = {key: kept for key in unique if (kept := self._kept(hook, key)) is not None}
        missing = {key: query for key, query in unique.items() if key not in found}
        if missing:
            answers, own = self.place().call_inner(hook, queries=list(missing.values()))
            if answers is None:
                return None
            if len(answers) != len(missing):
                raise ContractError(
                    f"{hook}: {len(answers)} answers for {len(missing)} queries",
                    where=self.place().name,
                )
            for (key, query), scores in zip(missing.items(), answers, strict=True):
                found[key] = scores
                if own and scores.values.shape == query.tokens.shape:
                    self._keep(hook, key, scores)
        # Each caller may change its own answer. What it says it cost is what it cost once, so that
        # a run has the same bytes whichever rows meet in a call.
        seen: set[bytes | None] = set()
        answered = []
        for key in keys:
            answered.append(_again(found[key]) if key in seen else found[key])
            seen.add(key)
        return answered

    @hookimpl(tryfirst=True)
    def close(self) -> None:
        """Let go of the file."""
        self._store.close()

    def _key(self, hook: str, call: bytes | None) -> bytes | None:
        """A call's key for this very model; None for what is not kept."""
        place = self.place()
        # What core tells of a backend that does not describe itself, it asks the backend for.
        if call is None or not {hook, "describe"} <= place.backend_hooks:
            return None
        facts = self._facts
        return key_of(hook, *facts, __version__, call.hex()) if facts else None

    @lazy
    def _facts(self) -> tuple[object, ...]:
        """What tells models apart; nothing for one whose answers cannot be told from another's.

        Not only the fingerprint: an author may have made it of too little, and a shorter context
        refuses what a longer one answers.
        """
        if self._asks_facts:
            # A wrapper asks it in its `describe`: nobody knows yet of which model.
            return ()
        self._asks_facts = True
        try:
            return self._ask_facts()
        finally:
            self._asks_facts = False

    def _ask_facts(self) -> tuple[object, ...]:
        place = self.place()
        info = place.info
        try:
            fingerprint = info.fingerprint
        except (OSError, ValueError) as error:
            log.warning("cache: %s has no fingerprint (%s), and is not cached", place.name, error)
            return ()
        if not fingerprint:
            return ()
        return (
            fingerprint,
            type(place.backend).__qualname__,
            info.vocabulary_size,
            info.context_length,
        )

    def _one(self, hook: str, key: bytes | None, **arguments: Any) -> Any:
        found = self._kept(hook, key)
        return self._asked(hook, key, **arguments) if found is None else found

    def _kept(self, hook: str, key: bytes | None) -> Any:
        value = None if key is None else self._store.get(key)
        if value is None:
            return None
        size = int.from_bytes(value[:4], "little")
        try:
            head = json.loads(value[4 : 4 + size])
            return unpack(hook, Packed(head, value[4 + size :]))
        except (ValueError, TypeError, KeyError, IndexError):
            # Whole, but put there by something else.
            return None

    def _asked(self, hook: str, key: bytes | None, **arguments: Any) -> Any:
        if key is None:
            return None
        answer, own = self.place().call_inner(hook, **arguments)
        if answer is not None and own:
            self._keep(hook, key, answer)
        return answer

    def _keep(self, hook: str, key: bytes | None, answer: Any) -> None:
        if key is None or not self._is_sound(hook, answer):
            return
        try:
            head, raw = pack(hook, answer)
        except (TypeError, ValueError, AttributeError):
            # Not what the hook should answer: whoever asked finds that, too.
            return
        told = json.dumps(head, separators=(",", ":")).encode()
        self._store.put(key, len(told).to_bytes(4, "little") + told + raw)

    def _is_sound(self, hook: str, answer: Any) -> bool:
        """Whether it may be kept: what is refused once must not be refused for ever."""
        match hook:
            case "greedy_impl":
                size = self.place().info.vocabulary_size
                return getattr(answer, "shape", None) == (size,) and _are_logprobs(answer)
            case "greedy_tree_impl":
                return _are_logprobs(answer.values) and _are_logprobs(answer.top_logprobs)
            case "complete":
                return _are_logprobs(np.array(answer.logprobs or ()))
        return True


def _again(scores: TreeScores) -> TreeScores:
    return TreeScores(
        scores.values.copy(),
        scores.top_tokens.copy(),
        scores.top_logprobs.copy(),
        scores.tokens_evaluated,
    )


def _are_logprobs(values: NDArray[Any]) -> bool:
    # The maximum is NaN where any is, and no comparison holds then.
    return bool(values.max(initial=-np.inf) <= LOGPROB_TOLERANCE)
