"""Which tokens a completion may take next, if a token set or `eos=False` limits it."""

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
#: Stop strings that a text ends with a part of: (index of the stop string, tokens of it so far).
PartialStops = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class StopState:
    """The parts of stop strings at the end of a text.

    :ivar partial_stops: the stop strings whose first tokens end the text.
    :ivar in_stop_only: whether a token outside the set was taken, so that only the stop string may
        continue.
    """

    partial_stops: PartialStops = ()
    in_stop_only: bool = False


START = StopState()


class AllowedTokens:
    """The tokens that a Complete may take.

    The tokens of its stop strings are always allowed, at their place in the stop string.

    :param client: the model's client.
    :param action: the action.
    :param vocabulary: the token set; None for all tokens.
    :param masks: the model's masks.
    :ivar is_constrained: whether there is a token set.
    :ivar in_set: bool (V,), the tokens of the set.
    :ivar unmasked: bool (V,), the tokens allowed outside a stop string; None for all.
    :ivar stops: the tokens of each stop string.
    :ivar has_eos: whether a token of EOS may end the text.
    """

    def __init__(
        self,
        client: BackendClient,
        action: Complete,
        vocabulary: Vocabulary | None,
        masks: TokenMaskCache,
    ) -> None:
        size = client.info.vocabulary_size
        eos = [token for token in client.info.eos if token < size]
        self.is_constrained = vocabulary is not None
        self.in_set = (
            np.ones(size, dtype=np.bool_) if vocabulary is None else masks.mask_for(vocabulary)
        )
        self.has_eos = action.eos
        stops = client.tokenize(list(action.stop), at_start=False) if action.stop else []
        self.stops = [tuple(ids) for ids in stops]
        self.unmasked: Mask | None = None
        if self.is_constrained or not action.eos:
            unmasked = self.in_set.copy()
            unmasked[[stop[0] for stop in self.stops if stop]] = True
            unmasked[eos] = action.eos
            unmasked.setflags(write=False)
            self.unmasked = unmasked

    @classmethod
    def for_action(
        cls,
        automaton: AutomatonGraph,
        client: BackendClient,
        action: Complete,
        masks: TokenMaskCache,
    ) -> AllowedTokens:
        """Return the allowed tokens of an automaton's action, cached for the model."""
        vocab = action.vocab
        vocabulary = automaton.vocabs[vocab] if isinstance(vocab, str) else vocab
        key = (vocabulary, action.stop, action.eos)
        return masks.get_or_make(key, lambda: cls(client, action, vocabulary, masks))

    def mask(self, state: StopState) -> Mask | None:
        """Return the tokens that may follow: bool (V,); None for all."""
        if self.unmasked is None or not state.partial_stops:
            return self.unmasked
        mask = np.zeros_like(self.unmasked) if state.in_stop_only else self.unmasked.copy()
        mask[[self.stops[stop][count] for stop, count in state.partial_stops]] = True
        return mask

    def next_state(self, state: StopState, token: int) -> StopState:
        """Return the state after one more token."""
        if not self.is_constrained:
            return state
        continued = [(stop, n) for stop, n in state.partial_stops if self.stops[stop][n] == token]
        started = [(stop, 0) for stop, ids in enumerate(self.stops) if ids[:1] == (token,)]
        if state.in_stop_only:
            started = []
        partial_stops = tuple(
            (stop, count + 1)
            for stop, count in (*continued, *started)
            if count + 1 < len(self.stops[stop])
        )
        return StopState(partial_stops, state.in_stop_only or not self.in_set[token])
