"""Constrained texts while they are written: which tokens may follow, and where the text ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from autocog_core.constraints.language import body_grammar, check_constraint, grammar_with_end
from autocog_core.constraints.llguidance_calls import error_of, has_no_extension, new_matcher
from autocog_core.constraints.tokenizers import byte_tokenizer
from autocog_core.errors import InputError
from autocog_core.types.constraint import Constraint

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConstraintState:
    """A constrained text after some tokens. It is immutable: beams share beginnings.

    :ivar matcher: after the tokens, with what may follow the text.
    :ivar body: after the bytes, without what may follow, one byte a token; None once the bytes are
        no beginning of a text in the language, or if nothing is said about what follows.
    :ivar possible_ends: the latest positions at which the text is in the language.
    :ivar end: where the text has ended; None if it has not.
    """

    matcher: LLMatcher
    body: LLMatcher | None = None
    possible_ends: tuple[int, ...] = ()
    end: int | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the text may end here by the end of sequence."""
        return bool(self.matcher.is_accepting())

    @property
    def has_no_continuation(self) -> bool:
        """Whether no token may follow."""
        return bool(self.matcher.is_stopped())


class ConstrainedLanguage:
    """A constraint for one vocabulary, with the stop strings or the text that end its texts.

    A text ends at the first place where it is in the language and a stop string follows, or the
    first byte of a text that matches `followed_by`.

    :param constraint: the constraint.
    :param tokenizer: the vocabulary, by `make_tokenizer`.
    :param stop: the stop strings.
    :param followed_by: a regular expression of the text that must follow.
    :raises InputError: if no text can meet the constraint, or it cannot be read.
    """

    def __init__(
        self,
        constraint: Constraint,
        tokenizer: LLTokenizer,
        stop: Sequence[str] = (),
        followed_by: str | None = None,
    ) -> None:
        self._size = tokenizer.vocab_size - 1
        self._stops = [string.encode("utf-8") for string in stop]
        self._start = new_matcher(tokenizer, grammar_with_end(constraint, stop, followed_by))
        self._body: LLMatcher | None = None
        self._following: LLMatcher | None = None
        if self._stops or followed_by is not None:
            self._body = new_matcher(byte_tokenizer(), body_grammar(constraint))
        if followed_by is not None:
            following = Constraint(kind="regex", source=followed_by)
            self._following = new_matcher(byte_tokenizer(), body_grammar(following))
        for matcher in (self._start, self._body, self._following):
            if matcher is not None and (reason := error_of(matcher)):
                raise InputError(reason, where="constraint")
        if reason := check_constraint(constraint):
            raise InputError(reason, where="constraint")

    def start(self) -> ConstraintState:
        """Return the state before the first token."""
        body = None if self._body is None else self._body.deep_copy()
        ends = (0,) if body is not None and body.is_accepting() else ()
        return ConstraintState(matcher=self._start.deep_copy(), body=body, possible_ends=ends)

    def mask(self, state: ConstraintState) -> Mask:
        """Return the tokens that may follow: bool (V,); without those that end a sequence.

        :raises InputError: if llguidance gives up: the grammar is too complex.
        """
        matcher = state.matcher
        if matcher.is_stopped():
            return np.zeros(self._size, dtype=np.bool_)
        bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
        if matcher.is_error() and not has_no_extension(matcher):
            reason = f"too complex to be followed: {error_of(matcher)}"
            raise InputError(reason, where="constraint", hint="write a simpler one")
        return np.unpackbits(bits, bitorder="little", count=self._size).view(np.bool_)

    def after(self, state: ConstraintState, token: int, raw: bytes, size: int) -> ConstraintState:
        """Return the state after one more token, which the mask allows.

        :param state: the state before it.
        :param token: its id.
        :param raw: the bytes of the text with it.
        :param size: how many of these bytes are the token's.
        """
        matcher = state.matcher.deep_copy()
        matcher.consume_token(token)
        if self._body is None:
            return replace(state, matcher=matcher)
        body, ends = _read(state.body, raw, size)
        ends = [*state.possible_ends, *ends]
        longest = max(map(len, self._stops), default=0)
        return ConstraintState(
            matcher=matcher,
            body=body,
            # Older ones are too far back for a stop string that is not complete yet.
            possible_ends=tuple(end for end in ends if end > len(raw) - longest or end == len(raw)),
            end=self._find_end(raw, ends),
        )

    def _find_end(self, raw: bytes, possible_ends: Sequence[int]) -> int | None:
        """Return where the text ends: what is complete first; of equals, what begins first."""
        found: list[tuple[int, int]] = []
        for end in possible_ends:
            if self._following is not None and end < len(raw):
                following = self._following.deep_copy()
                if following.try_consume_tokens(list(raw[end:])) == len(raw) - end:
                    found.append((end + 1, end))
            found += [(end + len(stop), end) for stop in self._stops if raw.startswith(stop, end)]
        return min(found)[1] if found else None


def _read(body: LLMatcher | None, raw: bytes, size: int) -> tuple[LLMatcher | None, list[int]]:
    """Return a matcher after the last `size` of some bytes, and where it could end on the way."""
    if body is None:
        return None, []
    body = body.deep_copy()
    ends: list[int] = []
    for position in range(len(raw) - size, len(raw)):
        if not body.try_consume_tokens([raw[position]]):
            return None, ends
        if body.is_accepting():
            ends.append(position + 1)
    return body, ends
