"""The fields of paths, and the templates that use them: a run fills them in for each path."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

from autocog_core.automaton.actions import Action, Ask
from autocog_core.automaton.binding import (
    MAX_CHARACTERS,
    count_characters,
    fill_templates,
)
from autocog_core.automaton.checks.action_checks import require_sound_action
from autocog_core.automaton.field_flow import FieldFlow
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.automaton.inputs import convert_values
from autocog_core.automaton.templates.field_values import (
    FIELDS,
    Entries,
    Fields,
    FieldValue,
    RecordData,
)
from autocog_core.errors import InputError
from autocog_core.types.record import make_record
from autocog_core.types.thought_tree import ThoughtNode

#: The values that a path has set so far, by field, in order.
PathFields = Mapping[str, tuple[FieldValue, ...]]


class FieldTemplates:
    """The templates over fields of one run.

    :param automaton: a bound automaton: its inputs have their values as defaults.
    """

    def __init__(self, automaton: AutomatonGraph) -> None:
        self._names = {uid: uses.names for uid, uses in automaton.field_uses.items()}
        self._used: frozenset[str] = frozenset().union(*self._names.values())
        self._values: Mapping[str, Any] = {}
        self._repeated: frozenset[str] = frozenset()
        if self._used:
            self._values = convert_values(automaton.inputs, {})
            self._repeated = FieldFlow(automaton.actions, self._used).repeated()
        self._filled: dict[object, Action] = {}
        self._characters_left = _CharacterCount(MAX_CHARACTERS)

    def for_question(self, graph: AutomatonGraph) -> FieldTemplates:
        """Return the templates of a question of the automaton; all texts count together.

        :param graph: the question, whose inputs have their values as defaults.
        """
        if self._names.keys().isdisjoint(graph.by_uid):
            return self
        templates = copy(self)
        templates._values = convert_values(graph.inputs, {})
        templates._repeated = self._repeated | FieldFlow(graph.actions, self._used).repeated()
        templates._filled = {}
        return templates

    def fill(self, action: Action, fields: PathFields) -> Action:
        """Return the action with its templates filled in; once for the same fields.

        :param action: an action of the automaton.
        :param fields: the fields of the path that reaches it.
        :raises InputError: naming the action, if a template does not fit the values, if the texts
            are wrong, or if all texts of the run together are too long.
        """
        names = self._names.get(action.uid)
        if names is None:
            return action
        visible = {name: fields[name] for name in sorted(names) if name in fields}
        # 1, 1.0 and true are equal, but not as texts.
        types = tuple(_types(field) for values in visible.values() for field in values)
        key = (action.uid, tuple(visible.items()), types)
        if key not in self._filled:
            values = {**self._values, FIELDS: Fields.of(visible, self._repeated)}
            filled = fill_templates(action, values)
            require_sound_action(filled)
            self._characters_left.count -= count_characters(filled)
            if self._characters_left.count < 0:
                raise InputError(
                    f"the texts over fields have more than {MAX_CHARACTERS} characters together",
                    where=f'action "{action.uid}"',
                    hint="give a loop fewer max_visits, or a completion a shorter length",
                )
            self._filled[key] = filled
        return self._filled[key]

    def after(self, fields: PathFields, node: ThoughtNode) -> PathFields:
        """Return the fields of a path after one more node.

        :param fields: the fields before it.
        :param node: the node.
        """
        if node.name not in self._used or node.name is None:
            return fields
        value = _field_value(node)
        return {**fields, node.name: (*fields.get(node.name, ()), value)}

    def after_group(
        self, fields: PathFields, group: Ask, nodes: Sequence[ThoughtNode]
    ) -> PathFields:
        """Return the fields of a path after a group.

        :param fields: the fields before it.
        :param group: the group.
        :param nodes: the nodes of the path from the group's own to the last of its questions.
        """
        if group.for_each is None:
            for node in nodes:
                fields = self.after(fields, node)
            return fields
        if group.name is None or group.name not in self._used:
            return fields
        record = make_record(nodes, _field_value)
        value = FieldValue(_freeze(record[group.name]), 1.0)
        return {**fields, group.name: (*fields.get(group.name, ()), value)}


@dataclass(slots=True)
class _CharacterCount:
    """How many more characters the texts of a run may have."""

    count: int


def _field_value(node: ThoughtNode) -> FieldValue:
    """Return the value of a node in a form that can be compared and hashed."""
    value = node.value
    if isinstance(value, list | dict):
        value = RecordData(json.dumps(value))
    return FieldValue(value, node.prob)


def _freeze(entry: Any) -> Any:
    """Return the answers of a group in a form that can be compared and hashed."""
    match entry:
        case FieldValue():
            return entry
        case list():
            return tuple(map(_freeze, entry))
    return Entries((key, _freeze(value)) for key, value in entry.items())


def _types(value: Any) -> Any:
    """Return the types of a value, also inside the answers of a group."""
    match value:
        case FieldValue():
            return _types(value.value)
        case tuple():
            return tuple(map(_types, value))
    return type(value)
