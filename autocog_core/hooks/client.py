"""The one typed way to call hooks: serialises, retries, checks the answers.

Core's default implementations call through it too, so that wrappers see the inner calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pluggy
from numpy.typing import NDArray

from autocog_core.errors import (
    CapabilityError,
    ClosedError,
    ContractError,
    NumericsError,
)
from autocog_core.hooks.retry import RetryPolicy
from autocog_core.lazy import lazy
from autocog_core.types.backend_info import BackendInfo, Usage
from autocog_core.types.choice import ChoiceRequest, ChoiceScores
from autocog_core.types.completion import Completion, CompletionRequest
from autocog_core.types.prompt import Message, Prompt
from autocog_core.types.token_tree import TreeQuery, TreeScores

Answer = TypeVar("Answer")

#: Descriptions that ask for one another; more would never end.
MAX_DESCRIBE_DEPTH = 8

#: Rounding may put a log-probability this far above 0; more is an engine's mistake.
LOGPROB_TOLERANCE = 1e-3


class BackendClient:
    """Typed calls of the hooks of one manager.

    :param who: the model's name, for messages.
    :param lock: held during every call of an engine that declares `max_concurrency` 1.
    :param backend_hooks: returns the names of the hooks that the backend itself implements.
    :ivar watched: whether a wrapper stands between its users and the engine's evaluations.
    """

    def __init__(
        self,
        manager: pluggy.PluginManager,
        who: str,
        lock: AbstractContextManager[Any],
        retry: RetryPolicy,
        backend_hooks: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self.who = who
        self.closed = False
        self.watched = False
        self._hooks = manager.hook
        self._lock = lock
        self._retry = retry
        self._backend_hooks = backend_hooks
        self._token_sizes: dict[int, int] = {}
        self._describing = 0

    @lazy
    def info(self) -> BackendInfo:
        """What the backend says of itself."""
        # A wrapper's `describe` may call hooks, and other wrappers then want to know the model.
        if self._describing == MAX_DESCRIBE_DEPTH:
            raise self._contract(
                "describe", "it asks the model for what only its own answer tells; ask its hooks"
            )
        self._describing += 1
        try:
            found: BackendInfo = self._answer("describe", self._hooks.describe())
        finally:
            self._describing -= 1
        return found

    @lazy
    def capabilities(self) -> tuple[str, ...]:
        """Names of the hooks that the backend itself implements, and that work, sorted."""
        implemented = self._backend_hooks()
        working = self.info.capabilities
        return tuple(hook for hook in implemented if working is None or hook in working)

    @property
    def hooks(self) -> Any:
        """The hooks themselves, whose answers nobody has checked: for those who check them."""
        return self._hooks

    def row_size(self) -> int:
        """V, of a backend that does not describe itself."""
        surfaces = self._hooks.vocabulary()
        if surfaces is not None:
            return len(surfaces)
        return len(self._answer("greedy_impl", self._hooks.greedy_impl(tokens=[0])))

    @lazy
    def _guard(self) -> AbstractContextManager[Any]:
        return self._lock if self.info.max_concurrency <= 1 else nullcontext()

    def close(self) -> None:
        """Release the engine, as soon as it serves no call any more; later calls are refused."""
        self.closed = True
        # What was never asked what it is serves no call, and may be a server that is gone.
        with self._guard if "info" in self.__dict__ else nullcontext():
            self._hooks.close()

    def require_open(self) -> None:
        """Raise ClosedError if the model is closed."""
        if self.closed:
            raise ClosedError("the model is closed", where=self.who, hint="load it again")

    def tokenize(
        self, texts: Sequence[str], *, at_start: bool, parse_special: bool = False
    ) -> list[list[int]]:
        """Token ids of each text, without BOS."""
        found: list[list[int]] = self._call(
            "tokenize",
            lambda: self._hooks.tokenize(
                texts=texts, at_start=at_start, parse_special=parse_special
            ),
        )
        if len(found) != len(texts):
            raise self._contract("tokenize", f"{len(found)} answers for {len(texts)} texts")
        return found

    def detokenize(self, tokens: Sequence[int]) -> bytes:
        """The bytes that the ids stand for."""
        found: bytes = self._call("detokenize", lambda: self._hooks.detokenize(tokens=tokens))
        return found

    def token_size(self, token: int) -> int:
        """How many bytes `token` stands for; asked once, for it never changes."""
        size = self._token_sizes.get(token)
        if size is None:
            size = self._token_sizes[token] = len(self.detokenize([token]))
        return size

    def greedy(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """float32 (V,): log-probability of every token after `tokens`."""
        row: NDArray[np.float32] = self._engine_call(
            "greedy_impl", lambda: self._hooks.greedy_impl(tokens=tokens)
        )
        size = self.info.vocabulary_size
        if not isinstance(row, np.ndarray) or row.shape != (size,):
            shape = getattr(row, "shape", type(row).__name__)
            raise self._contract("greedy_impl", f"expected an array ({size},), got {shape}")
        self._check_logprobs("greedy_impl", row)
        return row

    def greedy_tree(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        """Scores of several token trees, one answer a query."""
        if not queries:
            return []
        found: list[TreeScores] = self._engine_call(
            "greedy_tree_impl", lambda: self._hooks.greedy_tree_impl(queries=queries)
        )
        if len(found) != len(queries):
            raise self._contract(
                "greedy_tree_impl", f"{len(found)} answers for {len(queries)} queries"
            )
        for query, scores in zip(queries, found, strict=True):
            if scores.values.shape != query.tokens.shape:
                raise self._contract(
                    "greedy_tree_impl",
                    f"expected values {query.tokens.shape}, got {scores.values.shape}",
                )
            self._check_logprobs("greedy_tree_impl", scores.values)
            self._check_logprobs("greedy_tree_impl", scores.top_logprobs)
        return found

    def complete(self, request: CompletionRequest) -> Completion:
        """Continue a prompt. Never retried once a piece has been streamed."""
        streamed = False
        on_text = request.on_text

        def watch(piece: str) -> None:
            nonlocal streamed
            streamed = True
            if on_text is not None:
                on_text(piece)

        if on_text is not None:
            request = replace(request, on_text=watch)
        found: Completion = self._engine_call(
            "complete", lambda: self._hooks.complete(request=request), lambda: not streamed
        )
        self._check_logprobs("complete", np.array(found.logprobs or ()))
        return found

    def choose(self, request: ChoiceRequest) -> ChoiceScores:
        """Score every choice of one request."""
        found: ChoiceScores = self._call("choose", lambda: self._hooks.choose(request=request))
        return found

    def vocabulary(self) -> Sequence[bytes]:
        """The bytes of every token."""
        found: Sequence[bytes] = self._call("vocabulary", lambda: self._hooks.vocabulary())
        return found

    def chat_prompt(self, messages: Sequence[Message], add_generation_prompt: bool) -> Prompt:
        """The model's chat template around `messages`."""
        found: Prompt = self._call(
            "chat_prompt",
            lambda: self._hooks.chat_prompt(
                messages=messages, add_generation_prompt=add_generation_prompt
            ),
        )
        return found

    def usage(self) -> Usage | None:
        """What the engine was asked for so far; None where it does not count."""
        found: Usage | None = self._hooks.usage()
        return found

    def _engine_call(
        self,
        hook: str,
        call: Callable[[], Answer | None],
        may_retry: Callable[[], bool] = lambda: True,
    ) -> Answer:
        """A call that computes, and so may be retried where the engine does not do it itself."""
        if self.info.retries_itself:
            return self._call(hook, call)
        return self._retry.run(lambda: self._call(hook, call), may_retry)

    def _call(self, hook: str, call: Callable[[], Answer | None]) -> Answer:
        with self._guard:
            # Asked inside: it may have been closed while this call waited for its turn.
            self.require_open()
            return self._answer(hook, call())

    def _answer(self, hook: str, answer: Answer | None) -> Answer:
        if answer is None:
            raise CapabilityError(f'its backend does not offer "{hook}"', where=self.who, hook=hook)
        return answer

    def _check_logprobs(self, hook: str, values: NDArray[Any]) -> None:
        if values.size == 0:
            return
        # One pass: NaN makes the maximum NaN, and fails the comparison too.
        top = float(values.max())
        if not top <= LOGPROB_TOLERANCE:
            what = "NaN" if np.isnan(top) else f"{top:.4g}, above 0,"
            raise NumericsError(
                f"{hook} answered {what} where log-probabilities are due",
                where=self.who,
                hint="the weights may be damaged, or the dtype too narrow for this model",
            )

    def _contract(self, hook: str, what: str) -> ContractError:
        return ContractError(f"{hook}: {what}", where=self.who)
