"""Which tokens a completion may take next, where a set limits it: always also its stop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autocog_core.caller import Caller
from autocog_core.fta.actions import Complete
from autocog_core.fta.vocabularies import Masks, Vocabulary

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
    """

    def __init__(
        self, caller: Caller, action: Complete, allowed: Vocabulary | None, masks: Masks
    ) -> None:
        size = caller.info.vocabulary_size
        self._eos = [token for token in caller.info.eos if token < size]
        self._limited = allowed is not None
        self._set = masks.of(allowed) if allowed is not None else np.ones(size, dtype=np.bool_)
        self._stops = [
            tuple(ids)
            for ids in (caller.tokenize(list(action.stop), at_start=False) if action.stop else [])
        ]
        self._free: Mask | None = None
        if self._limited or not action.eos:
            free = self._set.copy()
            free[[stop[0] for stop in self._stops if stop]] = True
            free[self._eos] = action.eos
            free.setflags(write=False)
            self._free = free

    def mask(self, state: StopState) -> Mask | None:
        """The tokens that may follow, bool (V,); None for all."""
        if self._free is None or not state.begun:
            return self._free
        following = [self._stops[stop][count] for stop, count in state.begun]
        mask = np.zeros_like(self._free) if state.bound else self._free.copy()
        mask[following] = True
        return mask

    def after(self, state: StopState, token: int) -> StopState:
        """The state after one more token."""
        if not self._limited:
            return state
        going_on = [(stop, n) for stop, n in state.begun if self._stops[stop][n] == token]
        fresh = [(stop, 0) for stop, ids in enumerate(self._stops) if ids[:1] == (token,)]
        if state.bound:
            fresh = []
        begun = tuple(
            (stop, count + 1)
            for stop, count in (*going_on, *fresh)
            if count + 1 < len(self._stops[stop])
        )
        return StopState(begun, state.bound or not self._set[token])
