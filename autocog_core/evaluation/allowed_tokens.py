"""Which tokens a completion may take next, where a set limits it: always also its stop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autocog_core.automaton.actions import Complete
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.automaton.token_sets import Vocabulary
from autocog_core.evaluation.token_masks import TokenMaskCache
from autocog_core.hooks.client import BackendClient

Mask = NDArray[np.bool_]
#: Stops that a text is in the middle of: (number of the stop, how many of its tokens are there).
Begun = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class StopState:
    """Where a text is within its stops.

    :ivar begun: stops whose first tokens are its last ones.
    :ivar bound: a token outside the set was taken: only its stop can go on.
    """

    begun: Begun = ()
    bound: bool = False


START = StopState()


class AllowedTokens:
    """The tokens that a Complete may take, text by text.

    :param allowed: the set; None for all.
    :ivar limited: whether there is a set. `allowed`: bool (V,), what it holds.
    :ivar free: bool (V,), what may be taken outside a stop; None for all.
    :ivar stops: each stop as tokens.
    """

    def __init__(
        self,
        client: BackendClient,
        action: Complete,
        allowed: Vocabulary | None,
        masks: TokenMaskCache,
    ) -> None:
        size = client.info.vocabulary_size
        self._eos = [token for token in client.info.eos if token < size]
        self.limited = allowed is not None
        self.allowed = masks.of(allowed) if allowed is not None else np.ones(size, dtype=np.bool_)
        self.stops = [
            tuple(ids)
            for ids in (client.tokenize(list(action.stop), at_start=False) if action.stop else [])
        ]
        self.free: Mask | None = None
        if self.limited or not action.eos:
            free = self.allowed.copy()
            free[[stop[0] for stop in self.stops if stop]] = True
            free[self._eos] = action.eos
            free.setflags(write=False)
            self.free = free

    @classmethod
    def of(
        cls,
        automaton: AutomatonGraph,
        client: BackendClient,
        action: Complete,
        masks: TokenMaskCache,
    ) -> AllowedTokens:
        """Those of an automaton's action, which may name its set; made once for a model."""
        vocab = action.vocab
        allowed = automaton.vocabs[vocab] if isinstance(vocab, str) else vocab
        key = (allowed, action.stop, action.eos)
        return masks.remembered(key, lambda: cls(client, action, allowed, masks))

    def mask(self, state: StopState) -> Mask | None:
        """The tokens that may follow, bool (V,); None for all."""
        if self.free is None or not state.begun:
            return self.free
        following = [self.stops[stop][count] for stop, count in state.begun]
        mask = np.zeros_like(self.free) if state.bound else self.free.copy()
        mask[following] = True
        return mask

    def after(self, state: StopState, token: int) -> StopState:
        """The state after one more token."""
        if not self.limited:
            return state
        going_on = [(stop, n) for stop, n in state.begun if self.stops[stop][n] == token]
        fresh = [(stop, 0) for stop, ids in enumerate(self.stops) if ids[:1] == (token,)]
        if state.bound:
            fresh = []
        begun = tuple(
            (stop, count + 1)
            for stop, count in (*going_on, *fresh)
            if count + 1 < len(self.stops[stop])
        )
        return StopState(begun, state.bound or not self.allowed[token])
