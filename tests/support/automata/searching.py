"""Slow reference for completions: allowed tokens, stop strings, beam search with whole rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

from autocog_core import Complete
from autocog_core.automaton import Vocabulary
from tests.support.automata.reading import Ids, Reader, RefusedError


@dataclass(frozen=True)
class Written:
    """A completion: its tokens, how it ended, and its bytes before the stop string."""

    tokens: Ids
    finish: str
    size: int
    score: float


class Search:
    """One `Complete` after `base`."""

    def __init__(
        self, reader: Reader, action: Complete, vocabulary: Vocabulary | None, base: Ids
    ) -> None:
        self.reader = reader
        self.action = action
        self.base = base
        self.eos = set(reader.info.eos) if action.eos else set()
        everything = set(range(reader.info.vocabulary_size)) - set(reader.info.eos)
        self.mask = everything
        self.stops: list[Ids] = []
        if vocabulary is not None:
            self.mask = {token for token in everything if reader.is_in(vocabulary, token)}
            self.stops = [reader.tokens_of(stop, at_start=False) for stop in action.stop]

    def run(self) -> list[Written]:
        """Return the finished beams, best first."""
        return self._greedy() if self.action.beams == 1 else self._beams()

    def admitted(self, taken: Ids) -> set[int]:
        """Return the allowed tokens: those of the mask, of stop strings, and EOS.

        After a token that only a stop allows, nothing but the rest of that stop.
        """
        forced: list[Ids] | None = None
        for i, token in enumerate(taken):
            if forced is not None:
                forced = [rest[1:] for rest in forced if rest[0] == token]
            elif token not in self.mask:
                forced = [rest[1:] for rest in self._rests(taken[:i]) if rest[0] == token]
        if forced is not None:
            self.reader.seen["nothing but the rest of a stop"] += 1
            return {rest[0] for rest in forced}
        return self.mask | {rest[0] for rest in self._rests(taken)} | self.eos

    def _rests(self, taken: Ids) -> list[Ids]:
        """Return the missing tokens of each stop string of which `taken` ends with a part."""
        return [
            stop[count:]
            for stop in self.stops
            for count in range(len(stop))
            if taken[len(taken) - count :] == stop[:count] and count <= len(taken)
        ]

    def ended(self, tokens: Ids) -> tuple[str, int] | None:
        """Return how a text ends, and its bytes before the stop; None if it is open.

        Bytes come one at a time; of stops that end at the same one, the longest counts.
        """
        raw = self.reader.surface(tokens)
        if tokens[-1] in self.eos:
            return "eos", len(raw)
        for end in range(len(raw) + 1):
            for stop in sorted(self.action.stop, key=lambda stop: -len(stop.encode())):
                if raw[:end].endswith(stop.encode()):
                    self._note(tokens, end - len(stop.encode()), end)
                    return "stop", end - len(stop.encode())
        return ("length", len(raw)) if len(tokens) == self.action.length else None

    def _greedy(self) -> list[Written]:
        tokens: Ids = ()
        total = 0.0
        while True:
            possible = self._possible(tokens)
            if not possible:
                raise RefusedError
            best = min(possible, key=lambda token: (-possible[token], token))
            tokens, total = (*tokens, best), total + possible[best]
            if end := self.ended(tokens):
                return [Written(tokens, *end, self._score(total, len(tokens)))]

    def _beams(self) -> list[Written]:
        """As Transformers' early_stopping="never": see its `_beam_search`."""
        beams, length = self.action.beams, self.action.length
        # So many that `beams` of them are no end of sequence.
        candidates = beams * max(2, 1 + len(self.reader.info.eos))
        live: list[tuple[float, Ids]] = [(0.0, ())]
        pool: list[Written] = []
        unmet: list[Written] = []
        while live:
            grown = []
            for beam, (total, tokens) in enumerate(live):
                possible = self._possible(tokens)
                grown += [(-(total + possible[token]), beam, token) for token in possible]
            grown.sort()
            following = []
            for rank, (negative, beam, token) in enumerate(grown[:candidates]):
                tokens = (*live[beam][1], token)
                end = self.ended(tokens)
                if end is None:
                    following.append((-negative, tokens))
                elif rank < beams:
                    (unmet if end[0] == "incomplete" else pool).append(
                        Written(tokens, *end, self._score(-negative, len(tokens)))
                    )
            live = following[:beams]
            pool.sort(key=lambda one: -one.score)
            if any(len(one.tokens) < len(tokens) for one in pool[beams:]):
                self.reader.seen["a finished text that a longer one replaces"] += 1
            del pool[beams:]
            if live and len(pool) == beams:
                count = len(live[0][1])
                reach = length if self.action.length_penalty > 0 else count + 1
                if max(self._score(total, reach) for total, _ in live) <= pool[-1].score:
                    self.reader.seen["a search that ended early"] += 1
                    break
        if not pool:
            pool = sorted(unmet, key=lambda one: -one.score)[:beams]
        if not pool:
            raise RefusedError
        return pool

    def _possible(self, tokens: Ids) -> dict[int, float]:
        """Return the log-probabilities of the allowed and possible tokens."""
        row = self.reader.row(self.base + tokens)
        return {token: row[token] for token in self.admitted(tokens) if row[token] > -math.inf}

    def _score(self, total: float, count: int) -> float:
        return total / math.pow(count, self.action.length_penalty)

    def _note(self, tokens: Ids, start: int, end: int) -> None:
        """Count the features of a stop string."""
        ends = [len(self.reader.surface(tokens[:n])) for n in range(len(tokens) + 1)]
        if start not in ends:
            self.reader.seen["a stop that begins inside a token"] += 1
        if end not in ends:
            self.reader.seen["a stop that ends inside a token"] += 1
        if sum(start < place < end for place in ends):
            self.reader.seen["a stop over several tokens"] += 1
