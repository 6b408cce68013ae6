"""The automaton: actions wired into a graph. Data only; `evaluate` runs it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

from autocog_core.errors import InputError
from autocog_core.fta.actions import Action, Choose
from autocog_core.fta.checks import Finding, faults_of
from autocog_core.fta.vocabularies import Vocabulary

if TYPE_CHECKING:
    from autocog_core.caller import Caller
    from autocog_core.fta.budget import Budget
    from autocog_core.fta.evaluate import Order
    from autocog_core.ftt import ThoughtTree
    from autocog_core.model import Model


@dataclass(frozen=True)
class Automaton:
    """A finite thought automaton: the first action is where every path begins.

    :ivar actions: in any order but the first's.
    :ivar vocabs: sets of tokens by name, for `Complete.vocab`.
    """

    actions: tuple[Action, ...]
    vocabs: Mapping[str, Vocabulary] = field(default_factory=dict)

    def __init__(
        self, actions: Iterable[Action], vocabs: Mapping[str, Vocabulary] | None = None
    ) -> None:
        object.__setattr__(self, "actions", tuple(actions))
        object.__setattr__(self, "vocabs", MappingProxyType(dict(vocabs or {})))

    @property
    def entry(self) -> Action:
        """The action at which every path begins."""
        return self.actions[0]

    @cached_property
    def by_uid(self) -> Mapping[str, Action]:
        """The actions by their uid."""
        return MappingProxyType({action.uid: action for action in self.actions})

    def successor(self, action: Action, branch: int = 0) -> Action | None:
        """What follows an action, or one of a Choose's choices; None where the path ends."""
        if not action.successors:
            return None
        several = isinstance(action, Choose) and len(action.successors) > 1
        return self.by_uid[action.successors[branch if several else 0]]

    def run(
        self,
        model: Model,
        *,
        models: Mapping[str, Model] | None = None,
        budget: Budget | None = None,
        order: Order = "breadth",
        top: int | None = None,
    ) -> ThoughtTree:
        """Evaluate all paths on a model.

        :param models: those that actions name with `model`.
        :param budget: where to stop, with the tree as far as it is.
        :param order: "breadth" evaluates all paths together; "best" the likeliest first.
        :param top: with "best": stop as soon as this many paths are proven the likeliest.
        :raises InputError: for an automaton with faults, or a model that is not given.
        """
        from autocog_core.fta.evaluate import Evaluation

        callers: dict[str | None, Caller] = {None: model.caller}
        callers |= {name: other.caller for name, other in (models or {}).items()}
        return Evaluation(self, callers, budget=budget, order=order, top=top).run()

    def faults(self) -> list[Finding]:
        """Everything that keeps it from being run, without a model."""
        return faults_of(self)

    def require_sound(self) -> None:
        """Refuse an automaton with faults.

        :raises InputError: naming all of them.
        """
        found = self.faults()
        if found:
            raise InputError(
                "\n".join(str(one) for one in found) if len(found) > 1 else found[0].what,
                where="automaton" if len(found) > 1 else found[0].where,
            )
