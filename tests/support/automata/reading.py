"""What the reference evaluator needs from a model: rows, and conversions of text and tokens."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from autocog_core import Model
from autocog_core.automaton import (
    Complement,
    Difference,
    Intersect,
    Regex,
    Strings,
    Tokens,
    Union,
    Vocabulary,
)

Ids = tuple[int, ...]


class RefusedError(Exception):
    """A request that no model can answer: no tokens to condition on, or no allowed token."""


@dataclass
class Step:
    """An expected node of the tree."""

    uid: str
    text: str
    tokens: Ids = ()
    logprobs: tuple[float, ...] = ()
    logprob: float = 0.0
    length: int = 0
    prob: float = 1.0
    pruned: str | None = None
    finish: str | None = None
    last: bool = False
    retokenized: bool = False
    name: str | None = None
    model: str | None = None
    unconditional: str | None = None
    children: list[Step] = field(default_factory=list)


@dataclass(frozen=True)
class Piece:
    """Text without tokens yet, and its step, if any."""

    text: str
    owner: Step | None = None
    trusted: bool = False
    evaluate: bool = False
    #: How many of its last characters do not depend on inputs or decisions.
    constant: int = 0


class Reader:
    """A model, as the reference evaluator sees it.

    :param seen: counts of covered features.
    """

    def __init__(self, model: Model, seen: Counter[str]) -> None:
        self.client = model.client
        self.info = model.info
        self.seen = seen
        self.start: Ids = (
            (self.info.bos,) if self.info.adds_bos and self.info.bos is not None else ()
        )

    def row(self, ids: Ids) -> list[float]:
        if not ids:
            raise RefusedError
        return [float(value) for value in self.client.greedy(list(ids))]

    def logprobs(self, before: Ids, tokens: Sequence[int]) -> tuple[float, ...]:
        return tuple(self.row(before + tuple(tokens[:i]))[token] for i, token in enumerate(tokens))

    def end_logprob(self, before: Ids) -> float:
        row = self.row(before)
        total = math.fsum(math.exp(row[token]) for token in self.info.eos)
        return math.log(total) if total else -math.inf

    def surface(self, tokens: Sequence[int]) -> bytes:
        return self.client.detokenize(list(tokens))

    def tokens_of(self, text: str, *, at_start: bool) -> Ids:
        return tuple(self.client.tokenize([text], at_start=at_start)[0])

    def spell(self, ids: Ids, pieces: Sequence[Piece]) -> list[tuple[int, Piece]]:
        """Return the tokens of texts after `ids`, each with the piece in which it begins."""
        special = {token.text: token.id for token in self.info.special_tokens}
        spelled: list[tuple[int, Piece]] = []
        together: list[tuple[str, Piece]] = []

        def tokenize_together() -> None:
            owners = [piece for text, piece in together for _ in text.encode()]
            at_start = ids in ((), self.start) and not spelled
            place = 0
            for token in self.tokens_of("".join(t for t, _ in together), at_start=at_start):
                spelled.append((token, owners[place]))
                end = place + len(self.surface([token]))
                if len({id(owner) for owner in owners[place:end]}) > 1:
                    self.seen["a token of two texts"] += 1
                place = end
            together.clear()

        for piece in pieces:
            parts = [piece.text]
            if piece.trusted:
                parts = re.split("(" + "|".join(map(re.escape, special)) + ")", piece.text)
            for part in parts:
                if piece.trusted and part in special:
                    tokenize_together()
                    spelled.append((special[part], piece))
                    self.seen["special tokens in a text"] += 1
                else:
                    together.append((part, piece))
        tokenize_together()
        return spelled

    def before(self, tokens: Ids, position: int) -> tuple[Ids, str]:
        """What is left of `tokens` if bytes from `position` on are cut: ids, and text after them.

        The text is that of a token of which only a part is left, and of those before it if it
        begins inside a character.
        """
        raw = self.surface(tokens)
        keep = 0
        while keep < len(tokens) and len(self.surface(tokens[: keep + 1])) <= position:
            keep += 1
        if len(self.surface(tokens[:keep])) == position:
            return tokens[:keep], ""
        inside = range(0x80, 0xC0)  # what a byte is that begins no character
        fewer = keep
        while fewer and raw[len(self.surface(tokens[:fewer]))] in inside:
            fewer -= 1
        if fewer < keep:
            self.seen["back to a character's first token"] += 1
        rest = raw[len(self.surface(tokens[:fewer])) : position]
        return tokens[:fewer], rest.decode(errors="replace")

    def is_in(self, vocabulary: Vocabulary, token: int) -> bool:
        surface = self.surface([token])
        match vocabulary:
            case Tokens(strings):
                return any(token in self.tokens_of(text, at_start=False) for text in strings)
            case Strings(strings):
                return surface in [text.encode() for text in strings]
            case Regex(pattern):
                try:
                    text = surface.decode()
                except UnicodeDecodeError:
                    return False
                return bool(surface) and bool(re.fullmatch(pattern, text, re.DOTALL))
            case Union(operands):
                return any(self.is_in(one, token) for one in operands)
            case Intersect(operands):
                return all(self.is_in(one, token) for one in operands)
            case Difference(first, second):
                return self.is_in(first, token) and not self.is_in(second, token)
            case Complement(operand):
                return bool(surface) and not self.is_in(operand, token)
        raise TypeError(vocabulary)
