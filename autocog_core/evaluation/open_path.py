"""A path of a run that is still open, and what changes when it enters an action."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from autocog_core.automaton.actions import Action
from autocog_core.evaluation.branch import ActionSteps, Branch, ModelRequest
from autocog_core.evaluation.path_context import PathContext, PendingText
from autocog_core.evaluation.path_fields import PathFields
from autocog_core.types.prompt import TextPiece


@dataclass(kw_only=True, slots=True)
class OpenPath:
    """A path that the run still has to continue.

    :ivar node: index of its last node in the tree; -1 at the start.
    :ivar action: its next action; None at the end of the automaton.
    :ivar contexts: what each model has seen.
    :ivar visits: the visits so far of actions with `max_visits`, by uid.
    :ivar fields: the values of the fields that templates use.
    :ivar logprob: the sum of its log-probabilities.
    :ivar length: the number of its nodes.
    :ivar is_scoring_texts: whether `steps` gives tokens and scores to the texts before a new text;
        its action comes after.
    :ivar steps: its action at work; None before the start and after the end.
    :ivar requests: the requests that `steps` waits for.
    """

    node: int
    action: Action | None
    contexts: Mapping[str | None, PathContext]
    visits: Mapping[str, int]
    fields: PathFields = field(default_factory=dict)
    logprob: float = 0.0
    length: int = 0
    is_scoring_texts: bool = False
    steps: ActionSteps | None = None
    requests: Sequence[ModelRequest] = ()

    @property
    def model(self) -> str | None:
        """Name of the model that `steps` asks, or will ask.

        As at the end of a path, texts that no action continues belong to the main model.
        """
        if self.action is None or self.is_scoring_texts:
            return None
        return self.action.model


def contexts_after(
    contexts: Mapping[str | None, PathContext], model: str | None, branch: Branch
) -> dict[str | None, PathContext]:
    """Return the contexts after a branch: its tokens for its model, its text for the others."""
    text = PendingText((TextPiece(branch.text),))
    return {
        name: branch.context if name == model else context.with_texts(text)
        for name, context in contexts.items()
    }


def count_visit(visits: Mapping[str, int], action: Action) -> Mapping[str, int]:
    """Return the visits after one more visit of `action`, if these are limited."""
    if action.max_visits is None:
        return visits
    return {**visits, action.uid: visits.get(action.uid, 0) + 1}


def has_no_visits_left(visits: Mapping[str, int], action: Action) -> bool:
    """Return whether `action` had its `max_visits` on this path."""
    return action.max_visits is not None and visits.get(action.uid, 0) >= action.max_visits
