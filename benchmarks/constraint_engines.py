"""Engines that find the tokens of a constraint, behind one interface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from autocog_core.constraints.language import grammar_with_end
from autocog_core.constraints.llguidance_calls import new_matcher
from autocog_core.constraints.state import ConstrainedLanguage
from autocog_core.constraints.tokenizers import make_tokenizer
from autocog_core.types.constraint import Constraint

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Case:
    """A constraint, and a text in its language.

    :ivar followed_by: as in `Complete`: `text` then ends with it.
    """

    name: str
    constraint: Constraint
    text: str
    followed_by: str | None = None

    @property
    def regex(self) -> str:
        """The regular expression with the text that follows, for engines without `followed_by`."""
        return self.constraint.source + (self.followed_by or "")


class Engine(Protocol):
    """An engine for one vocabulary: the bytes of V tokens, empty for special ones.

    Each may end a text with id V, which is not compared.
    """

    name: ClassVar[str]

    def __init__(self, vocabulary: list[bytes]) -> None: ...

    def compile(self, case: Case) -> Any:
        """Return the compiled constraint."""

    def start(self, compiled: Any) -> Any:
        """Return the state before the first token."""

    def mask(self, state: Any) -> Any:
        """Return the tokens that may follow, in the engine's own form."""

    def after(self, state: Any, token: int) -> Any:
        """Return the state after one more token. Where an engine can, the old one stays valid."""

    def to_bool(self, mask: Any) -> Mask:
        """Return a mask as bool (V,)."""


class Autocog:
    """Core's states: llguidance, copies for each branch, and where the text ends."""

    name: ClassVar[str] = "autocog"

    def __init__(self, vocabulary: list[bytes]) -> None:
        self._vocabulary = vocabulary
        self._tokenizer = make_tokenizer(vocabulary)

    def compile(self, case: Case) -> Any:
        """See `Engine`."""
        return ConstrainedLanguage(case.constraint, self._tokenizer, followed_by=case.followed_by)

    def start(self, compiled: Any) -> Any:
        """See `Engine`."""
        return compiled, compiled.start(), b""

    def mask(self, state: Any) -> Any:
        """See `Engine`."""
        return state[0].mask(state[1])

    def after(self, state: Any, token: int) -> Any:
        """See `Engine`."""
        language, before, raw = state
        piece = self._vocabulary[token]
        raw += piece
        return language, language.after(before, token, raw, len(piece)), raw

    def to_bool(self, mask: Any) -> Mask:
        """See `Engine`."""
        return np.array(mask)


class Llguidance:
    """The bare library that core uses, with a copy for each token, and packed masks."""

    name: ClassVar[str] = "llguidance"

    def __init__(self, vocabulary: list[bytes]) -> None:
        self._size = len(vocabulary)
        self._tokenizer = make_tokenizer(vocabulary)

    def compile(self, case: Case) -> Any:
        """See `Engine`."""
        return new_matcher(
            self._tokenizer, grammar_with_end(case.constraint, followed_by=case.followed_by)
        )

    def start(self, compiled: Any) -> Any:
        """See `Engine`."""
        return compiled.deep_copy()

    def mask(self, state: Any) -> Any:
        """See `Engine`."""
        return state.compute_bitmask()

    def after(self, state: Any, token: int) -> Any:
        """See `Engine`."""
        state = state.deep_copy()
        state.consume_token(token)
        return state

    def to_bool(self, mask: Any) -> Mask:
        """See `Engine`."""
        return unpack(np.frombuffer(mask, dtype=np.uint8), self._size)


class OutlinesCore:
    """outlines-core: an index of all states. A state is a number, so there is nothing to copy."""

    name: ClassVar[str] = "outlines-core"

    def __init__(self, vocabulary: list[bytes]) -> None:
        from outlines_core import Vocabulary

        self._size = len(vocabulary)
        ids: dict[bytes, list[int]] = {}
        for token, raw in enumerate(vocabulary):
            if raw:
                ids.setdefault(raw, []).append(token)
        self._vocabulary = Vocabulary(self._size, ids)

    def compile(self, case: Case) -> Any:
        """See `Engine`. Its schemas allow a blank or none between parts, and no other choice."""
        from outlines_core import Index
        from outlines_core.json_schema import build_regex_from_schema

        regex = case.regex
        if case.constraint.kind == "json_schema":
            regex = build_regex_from_schema(case.constraint.source)
        return Index(regex, self._vocabulary)

    def start(self, compiled: Any) -> Any:
        """See `Engine`."""
        from outlines_core import Guide

        return Guide(compiled)

    def mask(self, state: Any) -> Any:
        """See `Engine`."""
        bits = np.zeros(self._size // 32 + 1, dtype=np.int32)
        state.write_mask_into(bits.ctypes.data, bits.size, bits.itemsize)
        return bits

    def after(self, state: Any, token: int) -> Any:
        """See `Engine`."""
        state.advance(token, return_tokens=False)
        return state

    def to_bool(self, mask: Any) -> Mask:
        """See `Engine`."""
        return unpack(mask.view(np.uint8), self._size)


class Xgrammar:
    """xgrammar, compiled with one thread, with a copy for each token."""

    name: ClassVar[str] = "xgrammar"

    def __init__(self, vocabulary: list[bytes]) -> None:
        from xgrammar import GrammarCompiler, TokenizerInfo

        self._size = len(vocabulary)
        info = TokenizerInfo(
            [*vocabulary, b"</s>"], vocab_size=self._size + 1, stop_token_ids=[self._size]
        )
        self._compiler = GrammarCompiler(info, max_threads=1, cache_enabled=False)

    def compile(self, case: Case) -> Any:
        """See `Engine`."""
        if case.constraint.kind == "regex":
            return self._compiler.compile_regex(case.regex)
        return self._compiler.compile_json_schema(
            case.constraint.source, any_whitespace=False, separators=(", ", ": ")
        )

    def start(self, compiled: Any) -> Any:
        """See `Engine`."""
        from xgrammar import GrammarMatcher

        return GrammarMatcher(compiled)

    def mask(self, state: Any) -> Any:
        """See `Engine`."""
        from xgrammar import allocate_token_bitmask

        bits = allocate_token_bitmask(1, self._size + 1)
        state.fill_next_token_bitmask(bits)
        return bits

    def after(self, state: Any, token: int) -> Any:
        """See `Engine`."""
        state = state.fork()
        if not state.accept_token(token):
            raise ValueError(f"xgrammar does not accept token {token}")
        return state

    def to_bool(self, mask: Any) -> Mask:
        """See `Engine`."""
        return unpack(mask[0].numpy().view(np.uint8), self._size)


def unpack(bits: NDArray[np.uint8], size: int) -> Mask:
    """Return packed bits, the lowest first, as bool (size,)."""
    return np.unpackbits(bits, bitorder="little", count=size).view(np.bool_)


ENGINES: tuple[type[Engine], ...] = (Autocog, Llguidance, OutlinesCore, Xgrammar)
