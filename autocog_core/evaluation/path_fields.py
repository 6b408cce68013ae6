"""The fields of paths, and the templates that use them: a run fills them in for each path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autocog_core.automaton.actions import Action
from autocog_core.automaton.binding import (
    MAX_CHARACTERS,
    count_characters,
    fill_templates,
)
from autocog_core.automaton.checks.action_checks import require_sound_action
from autocog_core.automaton.field_flow import FieldFlow
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.automaton.inputs import convert_values
from autocog_core.automaton.templates.field_values import FIELDS, Fields, FieldValue
from autocog_core.errors import InputError
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
        self._characters_left = MAX_CHARACTERS

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
        types = tuple(type(field.value) for values in visible.values() for field in values)
        key = (action.uid, tuple(visible.items()), types)
        if key not in self._filled:
            values = {**self._values, FIELDS: Fields.of(visible, self._repeated)}
            filled = fill_templates(action, values)
            require_sound_action(filled)
            self._characters_left -= count_characters(filled)
            if self._characters_left < 0:
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
        value = FieldValue(node.value, node.prob)
        return {**fields, node.name: (*fields.get(node.name, ()), value)}
