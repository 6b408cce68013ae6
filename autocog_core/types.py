"""What travels through the hooks: frozen records of prompts, requests and results.

All log-probabilities are natural logarithms, <= 0, over the model's full vocabulary, before any
mask, temperature or penalty.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from enum import Enum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from autocog_core.lazy import lazy
from autocog_core.pieces import Prompt

Finish = Literal["stop", "eos", "length"]
Norm = Literal["logprob", "mean", "per_byte", "pmi"]
Boundary = Literal["clean", "healed", "fixed"]

NORMS: tuple[Norm, ...] = ("logprob", "mean", "per_byte", "pmi")


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
    :ivar keeps_borders: whether no token spans the blank before a word and the like
        (`autocog_core.borders`), so that less text is tokenized again with every choice.
    :ivar normalizer: the Unicode form into which the tokenizer brings text; None: it changes none.
    :ivar tolerance: how far two ways of computing one token's log-probability may differ, in nats.
    :ivar concurrency: how many calls may run at once; at 1 the model serialises them.
    :ivar retries_itself: the engine retries failed calls, so core must not.
    :ivar capabilities: the hooks that work with this very engine, a server say; None: all that
        the backend implements.
    :ivar details: facts for people (dtype, device, how trees are evaluated ...).
    :ivar identify: computes `fingerprint`; called once, when it is first asked for.
    """

    name: str
    vocabulary_size: int
    context_length: int | None = None
    bos: int | None = None
    adds_bos: bool = False
    eos: tuple[int, ...] = ()
    special_tokens: tuple[SpecialToken, ...] = ()
    keeps_borders: bool = False
    normalizer: UnicodeForm | None = None
    tolerance: float = 1e-4
    concurrency: int = 1
    retries_itself: bool = False
    capabilities: tuple[str, ...] | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    identify: Callable[[], str] | None = field(default=None, repr=False, compare=False)

    @lazy
    def fingerprint(self) -> str:
        """Identifies weights, tokenizer, dtype and engine version: equal only for equal numbers."""
        return self.identify() if self.identify is not None else ""


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """One completion: how long, where it ends, and how tokens are picked.

    :ivar temperature: 0 is greedy decoding; above, tokens are sampled.
    :ivar top_k: keep the k likeliest tokens; 0 keeps all.
    :ivar top_p: keep the fewest tokens whose probability reaches it; 1 keeps all.
    :ivar min_p: drop tokens below this share of the likeliest one's probability; 0 drops none.
    :ivar n: how many alternatives; the first is the result, the rest its `alternatives`.
    :ivar extra: options that only some engines know; one that an engine does not know is refused.
    :ivar on_text: called with each new piece of text; what it raises ends the completion.
    """

    prompt: Prompt
    max_tokens: int = 64
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    n: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)
    on_text: Callable[[str], None] | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model wrote.

    :ivar text: without the stop string.
    :ivar tokens: the ids that the model decided, those of the stop or EOS included.
    :ivar logprobs: log-probability of each of `tokens`; None where the engine tells none.
    :ivar finish: "stop" (a stop string), "eos", or "length" (`max_tokens` reached).
    :ivar stop: the stop string that ended it, if one did.
    :ivar alternatives: the other n - 1 completions of the same request.
    :ivar evaluated: tokens that the model had to evaluate, alternatives included; None where the
        engine does not say.
    """

    text: str
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...] | None
    finish: Finish
    stop: str | None = None
    alternatives: tuple[Completion, ...] = ()
    evaluated: int | None = None

    @property
    def logprob(self) -> float | None:
        """Sum of `logprobs`."""
        return None if self.logprobs is None else float(sum(self.logprobs))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; a log-probability of -inf becomes None."""
        return {
            "text": self.text,
            "finish": self.finish,
            "stop": self.stop,
            "logprob": finite(self.logprob),
            "tokens": list(self.tokens),
            "logprobs": None if self.logprobs is None else [finite(x) for x in self.logprobs],
            "alternatives": [other.to_dict() for other in self.alternatives],
        }


@dataclass(frozen=True, slots=True)
class ChoiceRequest:
    """One choice among strings that continue a prompt.

    :ivar norm: what ranks the choices and makes `prob`; see SEMANTICS in the docs.
    :ivar end: text that must follow the choice (its tokens count), or `EOS`.
    :ivar boundary: "heal" re-spells the end of the prompt where joint tokenization needs it;
        "strict" raises instead.
    :ivar unconditional: what `pmi` conditions on instead of the prompt; None is BOS alone.
    """

    prompt: Prompt
    choices: tuple[str, ...]
    norm: Norm = "logprob"
    end: str | EndOfSequence | None = None
    boundary: Literal["heal", "strict"] = "heal"
    method: str | None = None
    unconditional: str | None = None


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


class EndOfSequence(Enum):
    """The type of `EOS`, the end of a choice that is the model's own end of sequence."""

    EOS = "EOS"


#: Given as `end=EOS`: the choice must be followed by one of the model's end-of-sequence tokens.
EOS = EndOfSequence.EOS


@dataclass(frozen=True, slots=True)
class ChoiceScore:
    """One alternative and what the model thinks of it.

    :ivar tokens: the decided ids: all after the base that the choices share.
    :ivar token_logprobs: the log-probability of each of `tokens`.
    :ivar logprob: their sum; composes along a path.
    :ivar exclusive: log-probability of this choice and not one of the longer ones it begins.
    :ivar mean: `logprob` per token. `per_byte`: `logprob` per byte of the decided tokens.
    :ivar pmi: `logprob` minus the same tokens' unconditional log-probability, where asked for.
    :ivar prob: share among the alternatives, by the norm asked for; they sum to 1.
    """

    choice: str
    tokens: tuple[int, ...]
    token_logprobs: tuple[float, ...]
    logprob: float
    exclusive: float
    mean: float
    per_byte: float
    pmi: float | None
    prob: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; a log-probability of -inf becomes None."""
        data: dict[str, Any] = {
            "choice": self.choice,
            "logprob": finite(self.logprob),
            "exclusive": finite(self.exclusive),
            "mean": finite(self.mean),
            "per_byte": finite(self.per_byte),
            "prob": self.prob,
            "tokens": list(self.tokens),
            "token_logprobs": [finite(value) for value in self.token_logprobs],
        }
        if self.pmi is not None:
            data["pmi"] = finite(self.pmi)
        return data


@dataclass(frozen=True, slots=True)
class ChoiceScores:
    """All alternatives of one choice, in the order given.

    :ivar index: which of `scores` is the best (ties: the lower index).
    :ivar boundary: "clean", "healed" (the end of the prompt, `healed_text`, was re-spelled and
        scored with the choice) or "fixed" (the choice follows token ids directly).
    :ivar prefix_ambiguous: a choice's tokens begin another's, so that `exclusive` ranks them.
    :ivar entropy: of `prob`, in nats. `margin`: best `prob` minus the second best.
    :ivar exact: the scores are the model's own, within its declared tolerance. Where they are not,
        they are lower bounds, or (method "pick", "decision") no log-probabilities of text at all.
    :ivar method: how it was scored. `why`: why so, and why not exactly, in words.
    :ivar unseen: the probability that the engine did not show, and that may be the choices' own.
    :ivar evaluated: tokens that the model had to evaluate; None where the engine does not say.
    """

    index: int
    scores: tuple[ChoiceScore, ...]
    norm: Norm
    boundary: Boundary
    healed_text: str
    prefix_ambiguous: bool
    entropy: float
    margin: float
    exact: bool = True
    method: str = "tree"
    why: str = ""
    unseen: float = 0.0
    evaluated: int | None = None

    @property
    def choice(self) -> str:
        """The best alternative's text."""
        return self.best.choice

    @property
    def best(self) -> ChoiceScore:
        """The best alternative."""
        return self.scores[self.index]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "index": self.index,
            "choice": self.choice,
            "norm": self.norm,
            "boundary": self.boundary,
            "healed_text": self.healed_text,
            "prefix_ambiguous": self.prefix_ambiguous,
            "entropy": self.entropy,
            "margin": self.margin,
            "exact": self.exact,
            "method": self.method,
            "why": self.why,
            "unseen": self.unseen,
            "evaluated": self.evaluated,
            "scores": [score.to_dict() for score in self.scores],
        }


@dataclass(frozen=True, slots=True, eq=False)
class TreeQuery:
    """A token tree to score: next-token log-probabilities at its nodes.

    :ivar prefix: the ids before the tree, BOS included where the model has one; at least one.
    :ivar tokens: int32 (n,), the tree's tokens.
    :ivar parents: int32 (n,), index of each node's parent (smaller than its own); -1: the prefix.
    :ivar top_at: int32 (m,), nodes (-1: the prefix) at which the `top_k` likeliest next tokens
        are wanted too.
    :ivar mask: bool (V,), tokens allowed among the top ones (values are not renormalised).
    """

    prefix: Sequence[int]
    tokens: NDArray[np.int32]
    parents: NDArray[np.int32]
    top_at: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    top_k: int = 0
    mask: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TreeScores:
    """Answer to a `TreeQuery`.

    :ivar values: float64 (n,): values[i] = log P(tokens[i] | prefix, path to parents[i]).
    :ivar top_tokens: int32 (m, k), likeliest first (ties: the lower id); -1 where there is none.
    :ivar top_logprobs: float64 (m, k); -inf where there is none.
    :ivar evaluated: how many tokens the model evaluated for it. For several queries answered
        together the sum over the answers is the total.
    """

    values: NDArray[np.float64]
    top_tokens: NDArray[np.int32]
    top_logprobs: NDArray[np.float64]
    evaluated: int


def finite(value: float | None) -> float | None:
    """JSON has no infinity: -inf (probability 0) becomes None."""
    return None if value is None or np.isinf(value) else float(value)
