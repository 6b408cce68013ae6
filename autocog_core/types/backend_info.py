"""Facts about a backend: its vocabulary, limits, special tokens and usage."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import wraps
from typing import Any, Literal, TypeVar

from autocog_core.errors import did_you_mean
from autocog_core.lazy import lazy


@dataclass(frozen=True, slots=True)
class SpecialToken:
    """A control token, such as `<|im_end|>`.

    :ivar text: its text in trusted prompts.
    :ivar id: its token id.
    :ivar strips_left: whether parsing it also removes the whitespace before it.
    :ivar strips_right: whether parsing it also removes the whitespace after it.
    """

    text: str
    id: int
    strips_left: bool = False
    strips_right: bool = False


Described = TypeVar("Described")


def _with_clear_errors(cls: type[Described]) -> type[Described]:
    """Let the constructor of a dataclass say which field was meant, and which ones are missing."""
    made: Any = cls
    valid = {entry.name: entry for entry in fields(made)}
    needed = [
        name
        for name, entry in valid.items()
        if entry.default is MISSING and entry.default_factory is MISSING
    ]
    init = made.__init__

    @wraps(init)
    def checked_init(self: Any, *arguments: Any, **values: Any) -> None:
        for name in values:
            if name not in valid:
                hint = did_you_mean(name, valid)
                raise TypeError(f'{cls.__name__} has no field "{name}"; {hint}')
        missing = [name for name in needed if name not in values]
        if arguments or missing:
            example = ", ".join(f"{name}=..." for name in needed)
            problem = f"needs {' and '.join(missing)}" if missing else "takes named fields only"
            raise TypeError(f"{cls.__name__} {problem}: {cls.__name__}({example})")
        init(self, **values)

    made.__init__ = checked_init
    return cls


UnicodeForm = Literal["NFC", "NFD", "NFKC", "NFKD"]


@_with_clear_errors
@dataclass(frozen=True, kw_only=True)
class BackendInfo:
    """Description of a backend and its model.

    :ivar name: name of the engine and the model, shown to users.
    :ivar vocabulary_size: V, the number of logits at one position.
    :ivar context_length: maximum number of tokens in a sequence; None for no limit.
    :ivar bos: id of the BOS token; None if there is none.
    :ivar adds_bos: whether every sequence begins with BOS.
    :ivar eos: ids that end a sequence.
    :ivar special_tokens: tokens that `tokenize` recognizes with `parse_special=True`.
    :ivar restarts_after_special_tokens: whether the tokenizer begins the text after a special token
        as it begins a sequence: with a blank before the first word. None: after BOS only.
    :ivar splits_at_word_boundaries: whether no token crosses a word boundary
        (`autocog_core.tokenizers.word_boundaries`). Core then tokenizes less text with each choice.
    :ivar unicode_normalization: Unicode form that the tokenizer converts text to, if any.
    :ivar tolerance: maximum difference, in nats, between two computations of one token's
        log-probability.
    :ivar max_concurrency: maximum number of simultaneous calls; at 1, core serializes them.
    :ivar retries_itself: whether the engine retries failed calls, so that core does not.
    :ivar capabilities: hooks that work with this engine or server; None if all work that the
        backend implements.
    :ivar constraints: kinds of constraints that its own `complete` serves ("regex", "grammar",
        "json_schema"). Core serves the others with token distributions, if the backend has them.
    :ivar nodes_per_step: number of a token tree's nodes that one evaluation takes for little more
        than the time of a single one. The search for the best choices reads so many at once.
    :ivar isolates: whether the scores of isolated choices (`ChoiceRequest.isolate`) are the same to
        the last bit, whatever was evaluated before or with them. If not, they differ within
        `tolerance`.
    :ivar details: further facts for users (dtype, device, evaluation method, ...).
    :ivar compute_fingerprint: computes `fingerprint`; called once, on the first access.
    """

    name: str
    vocabulary_size: int
    context_length: int | None = None
    bos: int | None = None
    adds_bos: bool = False
    eos: tuple[int, ...] = ()
    special_tokens: tuple[SpecialToken, ...] = ()
    restarts_after_special_tokens: bool | None = None
    splits_at_word_boundaries: bool = False
    unicode_normalization: UnicodeForm | None = None
    tolerance: float = 1e-4
    max_concurrency: int = 1
    retries_itself: bool = False
    capabilities: tuple[str, ...] | None = None
    constraints: tuple[str, ...] = ()
    nodes_per_step: int = 8
    isolates: bool = False
    details: Mapping[str, Any] = field(default_factory=dict)
    compute_fingerprint: Callable[[], str] | None = field(default=None, repr=False, compare=False)

    @lazy
    def fingerprint(self) -> str:
        """Hash of weights, tokenizer, dtype and engine version; equal only for equal numbers."""
        return self.compute_fingerprint() if self.compute_fingerprint is not None else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Requests and tokens so far, as the server counts them.

    :ivar requests: answered requests, without failed attempts.
    :ivar prompt_tokens: tokens of all prompts.
    :ivar cached_tokens: prompt tokens that the server had in its cache.
    :ivar completion_tokens: tokens that the server generated.
    """

    requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return self._combine(operator.add, other)

    def __sub__(self, other: Usage) -> Usage:
        return self._combine(operator.sub, other)

    def _combine(self, operation: Callable[[int, int], int], other: Usage) -> Usage:
        names = (entry.name for entry in fields(self))
        return Usage(
            **{name: operation(getattr(self, name), getattr(other, name)) for name in names}
        )
