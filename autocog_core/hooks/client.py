"""Typed calls of hooks, with the engine's lock, retries, and checks of the answers.

Core's own hooks use the client too, so wrappers see the inner calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pluggy
from numpy.typing import NDArray

from autocog_core.errors import CapabilityError, ClosedError, ContractError, NumericsError
from autocog_core.hooks.retry import RetryPolicy
from autocog_core.lazy import lazy
from autocog_core.types.backend_info import BackendInfo, Usage
from autocog_core.types.choice import ChoiceRequest, ChoiceScores
from autocog_core.types.completion import Completion, CompletionRequest
from autocog_core.types.prompt import Message, Prompt
from autocog_core.types.token_tree import TreeQuery, TreeScores

Answer = TypeVar("Answer")

#: Maximum depth of nested `describe` calls, which wrappers may cause; deeper ones never end.
MAX_DESCRIBE_DEPTH = 8

#: Rounding may cause log-probabilities up to this value; a higher one is an error of the engine.
LOGPROB_TOLERANCE = 1e-3


class BackendClient:
    """Typed calls of the hooks of one model.

    :param manager: the model's pluggy manager.
    :param model_name: the model's name, for messages.
    :param lock: held during every call of an engine that declares `max_concurrency` 1.
    :param retry: the retries of engine calls.
    :param backend_hooks: returns the names of the hooks that the backend itself implements.
    :ivar is_closed: whether `close` was called.
    :ivar is_watched: whether a wrapper must see every evaluation of the engine.
    """

    def __init__(
        self,
        manager: pluggy.PluginManager,
        model_name: str,
        lock: AbstractContextManager[Any],
        retry: RetryPolicy,
        backend_hooks: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self.model_name = model_name
        self.is_closed = False
        self.is_watched = False
        self._hooks = manager.hook
        self._lock = lock
        self._retry = retry
        self._backend_hooks = backend_hooks
        self._token_sizes: dict[int, int] = {}
        self._describe_depth = 0

    @lazy
    def info(self) -> BackendInfo:
        """Description of the backend; the hook is called on the first access."""
        # A wrapper's `describe` may call hooks, whose wrappers may read the info again.
        if self._describe_depth == MAX_DESCRIBE_DEPTH:
            raise self._contract_error(
                "describe", "it needs its own result; call the backend's hooks instead"
            )
        self._describe_depth += 1
        try:
            info: BackendInfo = self._require_answer("describe", self._hooks.describe())
        finally:
            self._describe_depth -= 1
        return info

    @lazy
    def capabilities(self) -> tuple[str, ...]:
        """Names of the working hooks that the backend itself implements, sorted."""
        implemented = self._backend_hooks()
        working = self.info.capabilities
        return tuple(hook for hook in implemented if working is None or hook in working)

    @property
    def hooks(self) -> Any:
        """The hooks themselves, without lock, retries or checks."""
        return self._hooks

    def measure_vocabulary_size(self) -> int:
        """Return V for a backend without `describe`."""
        vocabulary = self._hooks.vocabulary()
        if vocabulary is not None:
            return len(vocabulary)
        return len(self._require_answer("greedy_impl", self._hooks.greedy_impl(tokens=[0])))

    @lazy
    def _guard(self) -> AbstractContextManager[Any]:
        return self._lock if self.info.max_concurrency <= 1 else nullcontext()

    def close(self) -> None:
        """Release the engine when its running calls have ended, and reject later calls."""
        self.is_closed = True
        # Without `info` no call is running. Reading it now might contact a server that is down.
        with self._guard if "info" in self.__dict__ else nullcontext():
            self._hooks.close()

    def require_open(self) -> None:
        """Reject calls of a closed model.

        :raises ClosedError: if the model is closed.
        """
        if self.is_closed:
            raise ClosedError("the model is closed", where=self.model_name, hint="load it again")

    def tokenize(
        self, texts: Sequence[str], *, at_start: bool, parse_special: bool = False
    ) -> list[list[int]]:
        """Return the token ids of each text, without BOS; see `specs.tokenize`."""
        ids: list[list[int]] = self._call(
            "tokenize",
            lambda: self._hooks.tokenize(
                texts=texts, at_start=at_start, parse_special=parse_special
            ),
        )
        if len(ids) != len(texts):
            raise self._contract_error("tokenize", f"{len(ids)} answers for {len(texts)} texts")
        return ids

    def detokenize(self, tokens: Sequence[int]) -> bytes:
        """Return the bytes of the tokens."""
        text: bytes = self._call("detokenize", lambda: self._hooks.detokenize(tokens=tokens))
        return text

    def token_size(self, token: int) -> int:
        """Return the number of bytes of a token. It is constant, so the client stores it."""
        size = self._token_sizes.get(token)
        if size is None:
            size = self._token_sizes[token] = len(self.detokenize([token]))
        return size

    def greedy(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Return the log-probability of every token after `tokens`: float32 (V,)."""
        row: NDArray[np.float32] = self._engine_call(
            "greedy_impl", lambda: self._hooks.greedy_impl(tokens=tokens)
        )
        size = self.info.vocabulary_size
        if not isinstance(row, np.ndarray) or row.shape != (size,):
            shape = getattr(row, "shape", type(row).__name__)
            raise self._contract_error("greedy_impl", f"expected an array ({size},), got {shape}")
        self._check_logprobs("greedy_impl", row)
        return row

    def greedy_tree(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        """Return the scores of several token trees, one answer for each query."""
        if not queries:
            return []
        answers: list[TreeScores] = self._engine_call(
            "greedy_tree_impl", lambda: self._hooks.greedy_tree_impl(queries=queries)
        )
        if len(answers) != len(queries):
            raise self._contract_error(
                "greedy_tree_impl", f"{len(answers)} answers for {len(queries)} queries"
            )
        for query, scores in zip(queries, answers, strict=True):
            if scores.values.shape != query.tokens.shape:
                raise self._contract_error(
                    "greedy_tree_impl",
                    f"expected values {query.tokens.shape}, got {scores.values.shape}",
                )
            self._check_logprobs("greedy_tree_impl", scores.values)
            self._check_logprobs("greedy_tree_impl", scores.top_logprobs)
        return answers

    def complete(self, request: CompletionRequest) -> Completion:
        """Continue a prompt. Once a piece of text was streamed, errors are not retried."""
        has_streamed = False
        on_text = request.on_text

        def note_text(piece: str) -> None:
            nonlocal has_streamed
            has_streamed = True
            if on_text is not None:
                on_text(piece)

        if on_text is not None:
            request = replace(request, on_text=note_text)
        completion: Completion = self._engine_call(
            "complete", lambda: self._hooks.complete(request=request), lambda: not has_streamed
        )
        self._check_logprobs("complete", np.array(completion.logprobs or ()))
        return completion

    def choose(self, request: ChoiceRequest) -> ChoiceScores:
        """Return the scores of a request's choices."""
        scores: ChoiceScores = self._call("choose", lambda: self._hooks.choose(request=request))
        return scores

    def vocabulary(self) -> Sequence[bytes]:
        """Return the bytes of every token, in the order of ids."""
        vocabulary: Sequence[bytes] = self._call("vocabulary", lambda: self._hooks.vocabulary())
        return vocabulary

    def chat_prompt(self, messages: Sequence[Message], add_generation_prompt: bool) -> Prompt:
        """Return the prompt that the model's chat template makes of messages."""
        prompt: Prompt = self._call(
            "chat_prompt",
            lambda: self._hooks.chat_prompt(
                messages=messages, add_generation_prompt=add_generation_prompt
            ),
        )
        return prompt

    def usage(self) -> Usage | None:
        """Return the engine's requests and tokens so far; None if it does not count them."""
        usage: Usage | None = self._hooks.usage()
        return usage

    def _engine_call(
        self,
        hook: str,
        call: Callable[[], Answer | None],
        may_retry: Callable[[], bool] = lambda: True,
    ) -> Answer:
        """Call a hook that computes, with retries unless the engine retries itself."""
        if self.info.retries_itself:
            return self._call(hook, call)
        return self._retry.run(lambda: self._call(hook, call), may_retry)

    def _call(self, hook: str, call: Callable[[], Answer | None]) -> Answer:
        with self._guard:
            # After the wait for the lock: another thread may have closed the model meanwhile.
            self.require_open()
            return self._require_answer(hook, call())

    def _require_answer(self, hook: str, answer: Answer | None) -> Answer:
        if answer is None:
            raise CapabilityError(
                f'its backend does not offer "{hook}"', where=self.model_name, hook=hook
            )
        return answer

    def _check_logprobs(self, hook: str, values: NDArray[Any]) -> None:
        if values.size == 0:
            return
        # One pass: with a NaN, the maximum is NaN, and the comparison is false.
        highest = float(values.max())
        if not highest <= LOGPROB_TOLERANCE:
            value = "NaN" if np.isnan(highest) else f"{highest:.4g}, above 0,"
            raise NumericsError(
                f"{hook} returned {value} where log-probabilities are due",
                where=self.model_name,
                hint="the weights may be damaged, or the dtype too narrow for this model",
            )

    def _contract_error(self, hook: str, message: str) -> ContractError:
        return ContractError(f"{hook}: {message}", where=self.model_name)
