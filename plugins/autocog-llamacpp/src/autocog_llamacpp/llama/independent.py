"""A session that forgets: the numbers of a call do not depend on earlier calls."""

from __future__ import annotations

from collections.abc import Sequence

from autocog_core import EngineError, TreeQuery, TreeScores
from autocog_llamacpp.llama.session import Rows, Session


class IndependentSession:
    """Evaluates every call from an empty cache, and every tree alone.

    With quantized weights, the numbers of a token depend on the tokens that are computed with it. A
    cached prefix changes these, and so do the other trees of a call. Here, equal calls have equal
    numbers, bit for bit.

    :param session: the session that evaluates.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.name = f"{session.name}; each call from an empty cache"

    @property
    def in_use(self) -> bool:
        """See `Session.in_use`."""
        return self.session.in_use

    @in_use.setter
    def in_use(self, in_use: bool) -> None:
        self.session.in_use = in_use

    @property
    def active_sequences(self) -> int:
        """See `Session.active_sequences`."""
        return self.session.active_sequences

    def sequence_lengths(self) -> list[int]:
        """See `Session.sequence_lengths`."""
        return self.session.sequence_lengths()

    def score_trees(self, queries: Sequence[TreeQuery]) -> list[TreeScores]:
        """See `Session.score_trees`."""
        scores: list[TreeScores] = []
        for query in queries:
            self.begin()
            scores += self.session.score_trees([query])
        return scores

    def score_isolated(self, query: TreeQuery) -> TreeScores:
        """See `Session.score_isolated`."""
        # Isolated queries clear memory where they must.
        return self.session.score_isolated(query)

    def row(self, tokens: Sequence[int]) -> Rows:
        """See `Session.row`."""
        self.begin()
        return self.session.row(tokens)

    def start(self, tokens: Sequence[int], count: int, handles: list[int]) -> Rows:
        """See `Session.start`."""
        self.begin()
        return self.session.start(tokens, count, handles)

    def step(self, handles: Sequence[int], tokens: Sequence[int]) -> Rows:
        """See `Session.step`."""
        return self.session.step(handles, tokens)

    def finish(self, handles: Sequence[int], texts: Sequence[Sequence[int]]) -> None:
        """See `Session.finish`."""
        self.session.finish(handles, texts)

    def max_parallel(self, fitting: int) -> int:
        """See `Session.max_parallel`."""
        return self.session.max_parallel(fitting)

    def clear(self) -> None:
        """See `Session.clear`."""
        self.session.clear()

    def begin(self) -> None:
        """Empty the cache.

        :raises EngineError: while a completion runs, which needs the cache.
        """
        if self.session.in_use:
            raise EngineError(
                "a call inside a completion needs the prefix cache",
                where="prefix_cache",
                hint="make the call after the completion, or load the model with its prefix cache",
            )
        self.session.clear()
