"""LlamaEngine: one loaded model with its context, lock, and what it keeps between calls."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from autocog_core import BackendInfo, Message, Prompt, TreeQuery, TreeScores
from autocog_core.toolkit import lazy
from autocog_llamacpp.extension.session import NativeSession
from autocog_llamacpp.llama.chat_template import ChatTemplate
from autocog_llamacpp.llama.context import Context
from autocog_llamacpp.llama.session import Session
from autocog_llamacpp.llama.tokenizer import Tokenizer

if TYPE_CHECKING:
    from autocog_core import AutocogError, ThoughtTree
    from autocog_core.hooks import AutomatonRun, Declined


class LlamaEngine:
    """A model of llama.cpp.

    Calls must not overlap: hold `lock`, as core does.

    :param name: what to call it.
    :param context_length: most tokens of a sequence.
    :param tolerance: how far two ways of computing a log-probability may differ, in nats.
    :param seed: of completions that give none; None for another each time.
    :param identify: computes the fingerprint.
    """

    def __init__(
        self,
        context: Context,
        tokenizer: Tokenizer,
        session: Session,
        *,
        name: str,
        context_length: int,
        tolerance: float,
        chat_template: ChatTemplate | None = None,
        seed: int | None = None,
        details: Mapping[str, Any] | None = None,
        identify: Callable[[], str] | None = None,
    ) -> None:
        self.lock = threading.RLock()
        self.context = context
        self.tokenizer = tokenizer
        self.session = session
        self.name = name
        self._chat_template = chat_template
        self.seed = seed
        self._context_length = context_length
        self._tolerance = tolerance
        self._details = details or {}
        self._identify = identify

    def score_trees(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        """Answers to several queries, which share what their sequences have in common."""
        return self.session.score_trees(queries)

    def evaluate(
        self, runs: Sequence[AutomatonRun], turn: Callable[[], AbstractContextManager[Any]]
    ) -> Sequence[ThoughtTree | AutocogError] | Declined | None:
        """Automata run in C++; None where that is not in use.

        :param turn: held while the engine is at work, and let go between.
        """
        if not isinstance(self.session, NativeSession):
            return None
        from autocog_llamacpp.extension.runs import evaluate

        return evaluate(self.session, turn, runs)

    def forget(self) -> None:
        """Drop everything that was kept from earlier calls."""
        self.session.forget()

    def row(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """float32 (V,): log-probability of every token after `tokens`."""
        return self.session.row(tokens)

    def chat_prompt(
        self, messages: Sequence[Message], add_generation_prompt: bool
    ) -> Prompt | None:
        """Return the chat template around `messages`; None if the model has no template."""
        if self._chat_template is None:
            return None
        special = [token.text for token in self.tokenizer.special_tokens]
        return self._chat_template.prompt(messages, add_generation_prompt, special)

    @lazy
    def info(self) -> BackendInfo:
        """What this engine is."""
        tokenizer = self.tokenizer
        return BackendInfo(
            name=self.name,
            vocabulary_size=tokenizer.size,
            context_length=self._context_length,
            bos=tokenizer.bos,
            adds_bos=tokenizer.adds_bos,
            eos=tokenizer.eos,
            special_tokens=tokenizer.special_tokens,
            splits_at_word_boundaries=tokenizer.splits_at_word_boundaries,
            tolerance=self._tolerance,
            max_concurrency=1,
            details={**self._details, "trees": self.session.name},
            compute_fingerprint=self._identify,
        )
