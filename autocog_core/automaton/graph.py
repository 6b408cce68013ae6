"""AutomatonGraph: actions, token sets and inputs of an automaton as one graph. Data only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from autocog_core.automaton.actions import Action, Ask
from autocog_core.automaton.binding import (
    fill_all_templates,
    find_field_uses,
    iterate_templates,
)
from autocog_core.automaton.inputs import Input, convert_values
from autocog_core.automaton.repeated_fields import all_steps, repeated_fields
from autocog_core.automaton.simplification import merge_text_chains, successor
from autocog_core.automaton.token_sets import Vocabulary

if TYPE_CHECKING:
    from autocog_core.automaton.templates.field_values import FieldUses


def question_steps(action: Action) -> Iterator[Action]:
    """Yield the actions of a group's questions, those of the first item; else nothing."""
    if isinstance(action, Ask):
        for question in action.first_questions:
            yield from question


def _has_items(action: Action) -> bool:
    return isinstance(action, Ask) and action.for_each is not None


@dataclass(frozen=True)
class AutomatonGraph:
    """The data of an automaton. Every path starts at the first action.

    :ivar actions: the actions; only the position of the first one matters.
    :ivar vocabs: named sets of tokens, for `Complete.vocab`.
    :ivar inputs: the inputs of its templates, by name.
    :ivar description: a description for people.
    :ivar metadata: data of the author, which autocog ignores.
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

    @property
    def entry(self) -> Action:
        """The action at which every path starts."""
        return self.actions[0]

    @cached_property
    def own_uids(self) -> frozenset[str]:
        """The uids that successors may name: those of questions are not among them."""
        return frozenset(action.uid for action in self.actions)

    @cached_property
    def all_actions(self) -> tuple[Action, ...]:
        """The actions, each group followed by the actions of its questions."""
        return tuple(all_steps(self.actions))

    @cached_property
    def field_actions(self) -> tuple[Action, ...]:
        """The actions whose names are fields, in order; a group with `for_each` is one of them."""
        return tuple(
            step
            for action in self.actions
            for step in (action, *(() if _has_items(action) else question_steps(action)))
            if step.name is not None
        )

    @cached_property
    def by_uid(self) -> Mapping[str, Action]:
        """All actions by their uid, those of questions included."""
        return MappingProxyType({action.uid: action for action in self.all_actions})

    @cached_property
    def repeated_fields(self) -> Mapping[str, tuple[str, ...]]:
        """For each action whose field a path can set several times, what can lead to this field.

        Both are uids of actions.
        """
        return repeated_fields(self.actions)

    def question_graphs(self, action: Ask) -> tuple[AutomatonGraph, ...]:
        """Return each question of a group as a graph of its own.

        :param action: one of the actions.
        """
        items = [] if action.items is None else list(action.items.values())
        per_item = len(action.first_questions)
        return tuple(
            AutomatonGraph(
                question,
                self.vocabs,
                self._with_item(action, items[index // per_item]) if items else self.inputs,
            )
            for index, question in enumerate(action.questions)
        )

    def _with_item(self, action: Ask, item: Any) -> Mapping[str, Input]:
        """Return the inputs of a question about an item, which is one of them."""
        assert action.for_each is not None
        return {**self.inputs, action.for_each.name: Input("any", item)}

    @cached_property
    def field_names(self) -> frozenset[str]:
        """The fields that its actions set."""
        return frozenset(str(action.name) for action in self.field_actions)

    @cached_property
    def field_uses(self) -> Mapping[str, FieldUses]:
        """The fields that templates use, by the uid of their action, if they use any.

        :raises InputError: naming the action, if a template is not valid.
        """
        uses = ((action.uid, find_field_uses(action)) for action in self.all_actions)
        return MappingProxyType({uid: fields for uid, fields in uses if fields is not None})

    @cached_property
    def max_path_length(self) -> int:
        """An upper bound of the nodes of a path: every cycle has an action with `max_visits`."""
        visits = sum(action.max_visits or 0 for action in self.actions)
        groups = (action for action in self.actions if isinstance(action, Ask))
        inner = sum(
            graph.max_path_length for group in groups for graph in self.question_graphs(group)
        )
        return (visits + 1) * (len(self.actions) + inner)

    def successor(self, action: Action, branch: int = 0) -> Action | None:
        """Return the action that follows, or None if the path ends.

        :param action: the action that is followed.
        :param branch: the index of the choice, if `action` is a `Choose`.
        """
        return successor(action, self.by_uid, branch)

    def bind(self, values: Mapping[str, Any] | None = None) -> Self:
        """Return the automaton with its templates filled in, and without inputs.

        Templates over `fields` stay: a run fills them in for each path. The inputs that these use
        stay too, with their values as defaults.

        :param values: the values of the inputs; other names are ignored.
        :raises InputError: for values that are missing or do not fit.
        """
        converted = convert_values(self.inputs, values or {})
        actions = fill_all_templates(self.actions, converted, self.field_uses)
        names = {
            name
            for uid in self.field_uses
            for template in iterate_templates(self.by_uid[uid])
            for name in template.names
        }
        inputs = {name: Input("any", converted[name]) for name in converted if name in names}
        return type(self)(
            actions, self.vocabs, inputs, description=self.description, metadata=self.metadata
        )

    def simplify(self) -> Self:
        """Return the automaton with every chain of texts merged; paths and scores stay equal.

        Texts that are fields of the record are not merged, and texts with templates are not
        either: bind these first.
        """
        return type(self)(
            merge_text_chains(self.actions),
            self.vocabs,
            self.inputs,
            description=self.description,
            metadata=self.metadata,
        )
