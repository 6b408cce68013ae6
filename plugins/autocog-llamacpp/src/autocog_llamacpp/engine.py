"""LlamaEngine: a loaded model with its context, its lock and its caches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from autocog_core import BackendInfo, Message, Prompt, TreeQuery, TreeScores
from autocog_core.toolkit import ChatTemplate, lazy
from autocog_llamacpp.extension.session import NativeSession
from autocog_llamacpp.llama.context import Context
from autocog_llamacpp.llama.independent import IndependentSession
from autocog_llamacpp.llama.isolated import score_queries
from autocog_llamacpp.llama.session import Session
from autocog_llamacpp.llama.tokenizer import Tokenizer

if TYPE_CHECKING:
    from autocog_core import AutocogError, ThoughtTree
    from autocog_core.hooks import AutomatonRun, Declined


class LlamaEngine:
    """A loaded model of llama.cpp.

    Calls must not overlap: hold `lock`, as core does.

    :param context: the context of llama.cpp.
    :param tokenizer: the model's tokenizer.
    :param session: evaluates trees, and holds sequences for completions.
    :param name: the name of the model.
    :param context_length: maximum number of tokens of a sequence.
    :param tolerance: tolerance of log-probabilities, in nats per token.
    :param nodes_per_step: see `BackendInfo`.
    :param chat_template: the model's chat template, if it has one.
    :param seed: seed of completions that give none; None for a random seed.
    :param details: facts for `BackendInfo.details`.
    :param compute_fingerprint: computes the fingerprint of the model.
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
        nodes_per_step: int,
        chat_template: ChatTemplate | None = None,
        seed: int | None = None,
        details: Mapping[str, Any] | None = None,
        compute_fingerprint: Callable[[], str] | None = None,
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
        self._nodes_per_step = nodes_per_step
        self._details = details or {}
        self._compute_fingerprint = compute_fingerprint

    def score_trees(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        """Score token trees. Shared prefixes are evaluated once."""
        return score_queries(self.session, queries)

    def run_automata(
        self, runs: Sequence[AutomatonRun], engine_lock: Callable[[], AbstractContextManager[Any]]
    ) -> Sequence[ThoughtTree | AutocogError] | Declined | None:
        """Run automata in C++; return None if the extension is not in use.

        :param engine_lock: locks the engine while it computes. Other calls can use it in between.
        """
        from autocog_llamacpp.extension.runs import run_automata, run_automata_alone

        match self.session:
            case NativeSession():
                return run_automata(self.session, engine_lock, runs)
            case IndependentSession(session=NativeSession()):
                return run_automata_alone(self.session, engine_lock, runs)
        return None

    def clear_caches(self) -> None:
        """Remove all cached tokens and rows."""
        self.session.clear()

    def row(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Return float32 (V,): the log-probability of every token after `tokens`."""
        return self.session.row(tokens)

    def chat_prompt(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool,
        template_arguments: Mapping[str, Any],
    ) -> Prompt | None:
        """Return the chat template around `messages`; None if the model has no template."""
        if self._chat_template is None:
            return None
        special = [token.text for token in self.tokenizer.special_tokens]
        return self._chat_template.prompt(
            messages, add_generation_prompt, special, template_arguments
        )

    @lazy
    def info(self) -> BackendInfo:
        """The description of the model."""
        tokenizer = self.tokenizer
        return BackendInfo(
            name=self.name,
            vocabulary_size=tokenizer.size,
            context_length=self._context_length,
            bos=tokenizer.bos,
            adds_bos=tokenizer.adds_bos,
            eos=tokenizer.eos,
            special_tokens=tokenizer.special_tokens,
            restarts_after_special_tokens=tokenizer.restarts_after_special_tokens,
            splits_at_word_boundaries=tokenizer.splits_at_word_boundaries,
            tolerance=self._tolerance,
            max_concurrency=1,
            nodes_per_step=self._nodes_per_step,
            isolates=True,
            details={**self._details, "trees": self.session.name},
            compute_fingerprint=self._compute_fingerprint,
        )
