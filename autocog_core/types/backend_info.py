"""What travels through the hooks: frozen records of prompts, requests and results.

All log-probabilities are natural logarithms, <= 0, over the model's full vocabulary, before any
mask, temperature or penalty.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, field
from typing import Any, Literal

from autocog_core.lazy import lazy


@dataclass(frozen=True, slots=True)
class SpecialToken:
    """A control token, its surface, and whether it swallows the whitespace beside it."""

    text: str
    id: int
    strips_left: bool = False
    strips_right: bool = False


UnicodeForm = Literal["NFC", "NFD", "NFKC", "NFKD"]


@dataclass(frozen=True)
class BackendInfo:
    """What a backend says of itself.

    :ivar name: the engine and model, for people.
    :ivar vocabulary_size: V, the width of the logits.
    :ivar context_length: most tokens in one sequence; None for no limit.
    :ivar bos: the id of BOS; `adds_bos` says whether sequences begin with it.
    :ivar eos: the ids that end a sequence.
    :ivar special_tokens: what `parse_special=True` recognises.
    :ivar splits_at_word_boundaries: whether no token spans the blank before a word and the like
        (`autocog_core.toolkit.word_boundaries`), so that less text is tokenized again with every
        choice.
    :ivar unicode_normalization: the Unicode form that the tokenizer converts text to, if any.
    :ivar tolerance: how far two ways of computing one token's log-probability may differ, in nats.
    :ivar max_concurrency: how many calls may run at once; at 1 the model serialises them.
    :ivar retries_itself: the engine retries failed calls, so core must not.
    :ivar capabilities: the hooks that work with this very engine, a server say; None: all that
        the backend implements.
    :ivar details: facts for people (dtype, device, how trees are evaluated ...).
    :ivar compute_fingerprint: computes `fingerprint`; called once, when it is first asked for.
    """

    name: str
    vocabulary_size: int
    context_length: int | None = None
    bos: int | None = None
    adds_bos: bool = False
    eos: tuple[int, ...] = ()
    special_tokens: tuple[SpecialToken, ...] = ()
    splits_at_word_boundaries: bool = False
    unicode_normalization: UnicodeForm | None = None
    tolerance: float = 1e-4
    max_concurrency: int = 1
    retries_itself: bool = False
    capabilities: tuple[str, ...] | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    compute_fingerprint: Callable[[], str] | None = field(default=None, repr=False, compare=False)

    @lazy
    def fingerprint(self) -> str:
        """Identifies weights, tokenizer, dtype and engine version: equal only for equal numbers."""
        return self.compute_fingerprint() if self.compute_fingerprint is not None else ""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a model was asked for so far, as its server counts it.

    :ivar requests: answered ones, failed attempts not counted.
    :ivar prompt_tokens: all that were sent. `cached_tokens`: those among them that the server did
        not have to evaluate again. `completion_tokens`: those that it wrote.
    """

    requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(*map(operator.add, astuple(self), astuple(other)))

    def __sub__(self, other: Usage) -> Usage:
        return Usage(*map(operator.sub, astuple(self), astuple(other)))
