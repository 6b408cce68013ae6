"""The automaton: actions wired into a graph. Data only; `evaluate` runs it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from autocog_core.errors import InputError
from autocog_core.fta.actions import Action, Choose
from autocog_core.fta.binding import bound_actions
from autocog_core.fta.checks import OF_PATHS, Finding, faults_of
from autocog_core.fta.inputs import Input, check_values
from autocog_core.fta.vocabularies import Vocabulary

if TYPE_CHECKING:
    from autocog_core.fta.budget import Budget
    from autocog_core.fta.evaluate import Order, Strategy
    from autocog_core.ftt import ThoughtTree
    from autocog_core.model import Model


@dataclass(frozen=True)
class Automaton:
    """A finite thought automaton: the first action is where every path begins.

    :ivar actions: in any order but the first's.
    :ivar vocabs: sets of tokens by name, for `Complete.vocab`.
    :ivar inputs: what its templates are filled in from, by name.
    :ivar description: for people. `metadata`: what its author wants to remember.
    """

    actions: tuple[Action, ...]
    vocabs: Mapping[str, Vocabulary]
    inputs: Mapping[str, Input]
    description: str
    metadata: Mapping[str, Any] = field(hash=False)

    def __init__(
        self,
        actions: Iterable[Action],
        vocabs: Mapping[str, Vocabulary] | None = None,
        inputs: Mapping[str, Input] | None = None,
        *,
        description: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        object.__setattr__(self, "actions", tuple(actions))
        object.__setattr__(self, "vocabs", MappingProxyType(dict(vocabs or {})))
        object.__setattr__(self, "inputs", MappingProxyType(dict(inputs or {})))
        object.__setattr__(self, "description", description)
        object.__setattr__(self, "metadata", dict(metadata or {}))

    @classmethod
    def from_file(cls, path: str | Path) -> Automaton:
        """Read a program from a .yaml or .json file.

        :raises InputError: naming every fault by file, line and action.
        """
        from autocog_core.program.reading import read_file

        return read_file(Path(path))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Automaton:
        """Read a program from plain data, as `to_dict` gives it.

        :raises InputError: naming every fault by its place in the data.
        """
        from autocog_core.program.reading import read_data

        return read_data(data)

    def to_dict(self) -> dict[str, Any]:
        """The program as plain data, for JSON or YAML; `from_dict` gives an equal automaton."""
        from autocog_core.program.writing import to_data

        return to_data(self)

    @cached_property
    def digest(self) -> str:
        """Sha256 of what it does, in hexadecimal: equal for equal programs."""
        data = self.to_dict()
        data.pop("description", None)
        for each in (data, *data["actions"]):
            each.pop("metadata", None)
        content = json.dumps(data, sort_keys=True)
        return hashlib.sha256(content.encode("ascii")).hexdigest()

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

    def bind(self, values: Mapping[str, Any] | None = None) -> Automaton:
        """The automaton with its templates filled in; it has no inputs then.

        :param values: of the inputs; others are ignored.
        :raises InputError: for values that are missing, or do not fit.
        """
        checked = check_values(self.inputs, values or {})
        actions = bound_actions(self.actions, checked)
        return Automaton(actions, self.vocabs, description=self.description, metadata=self.metadata)

    def simplify(self) -> Automaton:
        """With chains of texts made one; the paths and their scores stay as they are."""
        from autocog_core.fta.simplify import simplified

        return simplified(self)

    def check(self, model: Model | None = None) -> list[Finding]:
        """All faults, which keep it from being run, and warnings, which do not.

        :param model: look also at what depends on its tokens.
        """
        from autocog_core.fta.warnings import warnings_of

        return [*self.faults(), *warnings_of(self, model.caller if model else None)]

    def run(
        self,
        model: Model,
        inputs: Mapping[str, Any] | None = None,
        *,
        models: Mapping[str, Model] | None = None,
        budget: Budget | None = None,
        strategy: Strategy | None = None,
        order: Order = "breadth",
        top: int | None = None,
    ) -> ThoughtTree:
        """Evaluate all paths on a model.

        :param inputs: values for the automaton's inputs.
        :param models: those that actions name with `model`.
        :param budget: where to stop, with the tree as far as it is.
        :param strategy: "greedy" for exact scores by token trees; "complete+choose" for what
            backends without token distributions offer. None takes what the model can.
        :param order: "breadth" evaluates all paths together; "best" the likeliest first.
        :param top: with "best": stop as soon as this many paths are proven the likeliest.
        :raises InputError: for an automaton with faults, a value or a model that is missing.
        """
        from autocog_core.fta.running import drive, prepare

        evaluation = prepare(
            self, inputs, model, models, budget=budget, strategy=strategy, order=order, top=top
        )
        return drive(evaluation)

    def faults(self) -> list[Finding]:
        """Everything that keeps it from being run, without a model."""
        return list(self._faults)

    @cached_property
    def _faults(self) -> tuple[Finding, ...]:
        return tuple(faults_of(self))

    def require_sound(self, *, paths: bool = True) -> None:
        """Refuse an automaton with faults.

        :param paths: also those of the whole graph. A bound one may have lost choices, if a list
            was empty, and with them the only way to an action.
        :raises InputError: naming all of them.
        """
        found = [one for one in self._faults if paths or one.what not in OF_PATHS]
        if found:
            raise InputError(
                "\n".join(str(one) for one in found) if len(found) > 1 else found[0].what,
                where="automaton" if len(found) > 1 else found[0].where,
            )
