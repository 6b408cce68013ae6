"""The rules of a text that a model writes: which tokens may follow, and where the text ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autocog_core.automaton.actions import Complete
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.constraints.state import ConstrainedLanguage, ConstraintState
from autocog_core.errors import CapabilityError, InputError
from autocog_core.evaluation.allowed_tokens import START, AllowedTokens, StopState
from autocog_core.evaluation.token_masks import TokenMaskCache
from autocog_core.hooks.client import BackendClient
from autocog_core.toolkit.stop_strings import find_first_stop
from autocog_core.types.completion import FinishReason
from autocog_core.types.constraint import Constraint

Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class TextState:
    """What the rules know of a text so far.

    :ivar stops: the parts of stop strings at its end.
    :ivar constraint: where it is in the constraint's language; None without a constraint.
    """

    stops: StopState = START
    constraint: ConstraintState | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TextRules:
    """The rules of the texts of one action or request, for one model.

    :ivar client: the model's client.
    :ivar length: the largest number of tokens.
    :ivar stop: the stop strings.
    :ivar allowed: the tokens that a token set and the end of sequence allow.
    :ivar language: the constraint; None for any text.
    """

    client: BackendClient
    length: int
    stop: tuple[str, ...]
    allowed: AllowedTokens
    language: ConstrainedLanguage | None = None

    @classmethod
    def for_action(
        cls,
        automaton: AutomatonGraph,
        client: BackendClient,
        action: Complete,
        masks: TokenMaskCache,
    ) -> TextRules:
        """Return the rules of an automaton's action.

        :raises InputError: for a constraint that cannot be read, or that no text can meet.
        :raises CapabilityError: for a constraint of a backend without a vocabulary.
        """
        language = None
        if action.constraint is not None:
            require_masks(client, action.constraint, where=f'action "{action.uid}"')
            language = language_for(masks, action.constraint, action.stop, action.followed_by)
        return cls(
            client=client,
            length=action.length,
            stop=action.stop,
            allowed=AllowedTokens.for_action(automaton, client, action, masks),
            language=language,
        )

    def start(self) -> TextState:
        """Return the state before the first token."""
        return TextState(constraint=None if self.language is None else self.language.start())

    def mask(self, state: TextState) -> Mask | None:
        """Return the tokens that may follow: bool (V,); None for all."""
        in_set = self.allowed.mask(state.stops)
        if self.language is None or state.constraint is None:
            return in_set
        mask = self.language.mask(state.constraint)
        eos = [token for token in self.client.info.eos if token < len(mask)]
        mask[eos] = self.allowed.has_eos and state.constraint.is_complete
        return mask if in_set is None else mask & in_set

    def after(self, state: TextState, token: int, raw: bytes, size: int) -> TextState:
        """Return the state after one more token.

        :param state: the state before it.
        :param token: its id.
        :param raw: the bytes of the text with it.
        :param size: how many of these bytes are the token's.
        """
        constraint = state.constraint
        if self.language is not None and constraint is not None and token not in self._eos:
            constraint = self.language.after(constraint, token, raw, size)
        return TextState(stops=self.allowed.next_state(state.stops, token), constraint=constraint)

    def find_end(
        self, state: TextState, token: int, raw: bytes, size: int, count: int
    ) -> tuple[FinishReason | None, int]:
        """Return how a text has ended, or None, and the number of its bytes.

        :param state: the state after its last token.
        :param token: its last token.
        :param raw: its bytes.
        :param size: how many of these bytes are the last token's.
        :param count: the number of its tokens.
        """
        constraint = state.constraint
        if token in self._eos:
            return "eos", len(raw)
        if constraint is None:
            stop = find_first_stop(raw, len(raw) - size, self.stop)
            if stop is not None:
                return "stop", stop[0]
            return ("length" if count == self.length else None), len(raw)
        if constraint.end is not None:
            return "stop", constraint.end
        if constraint.has_no_continuation and not (self.allowed.has_eos and self._eos):
            return "complete", len(raw)
        if count == self.length:
            return ("length" if constraint.is_complete else "incomplete"), len(raw)
        return None, len(raw)

    def is_complete(self, state: TextState) -> bool:
        """Return whether the text so far meets the constraint."""
        return state.constraint is None or state.constraint.is_complete

    @property
    def _eos(self) -> tuple[int, ...]:
        return self.client.info.eos


def require_masks(client: BackendClient, constraint: Constraint, *, where: str) -> None:
    """Check that core can serve a constraint on the texts of a model.

    :param where: what has the constraint, for the error message.
    :raises CapabilityError: if the backend has no token distributions or no vocabulary.
    """
    if not client.has_masks():
        raise CapabilityError(
            f"its {constraint.kind} needs token distributions and a vocabulary, which the backend "
            f"of {client.model_name} does not have",
            where=where,
            hint="take another backend, or no constraint",
        )


def language_for(
    masks: TokenMaskCache,
    constraint: Constraint,
    stop: tuple[str, ...] = (),
    followed_by: str | None = None,
) -> ConstrainedLanguage:
    """Return a constraint for a model, cached with the model's masks.

    :raises InputError: for a constraint that cannot be read, or that no text can meet.
    """

    def make() -> ConstrainedLanguage:
        return ConstrainedLanguage(constraint, masks.tokenizer(), stop, followed_by)

    try:
        return masks.get_or_make(
            ("constraint", constraint, stop, followed_by),
            make,
            characters=len(constraint.source),
        )
    except InputError as error:
        raise InputError(error.message, where=constraint.kind, hint=error.hint) from error
