"""The fields of a program as columns of a table, known before the first row."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from autocog_core.automaton.actions import Action, Ask, Choose
from autocog_core.automaton.choices import Choice, values_of
from autocog_core.automaton.graph import AutomatonGraph
from autocog_core.automaton.repeated_fields import next_uids
from autocog_core.records.action import RecordEnd, expand_records

#: What a field has to do with a record.
RecordRole = Literal["", "record", "flat", "part"]


@dataclass(frozen=True, slots=True)
class TableField:
    """A field of a program.

    :ivar name: its name.
    :ivar is_choice: whether a Choose action sets it, so that it has probabilities.
    :ivar values: the values that it can have; None if they depend on the row.
    :ivar is_repeated: whether a path can set it several times; its cells are then lists.
    :ivar is_mapping: whether it is that of a group with `for_each`, whose cells map items.
    :ivar record: "record" for a record, "flat" for one that has its fields as columns, "part" for
        one of these; empty for other fields.
    :ivar has_bounds: whether only the best choices of it are read (`Choose.top`).
    """

    name: str
    is_choice: bool
    values: tuple[Any, ...] | None
    is_repeated: bool
    is_mapping: bool = False
    record: RecordRole = ""
    has_bounds: bool = False

    @property
    def has_prob(self) -> bool:
        """Whether it has a probability in the output rows."""
        return self.is_choice or self.record != ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TableField:
        """Return the field that `to_dict` wrote.

        :raises ValueError: for other data.
        """
        name, values = data.get("name"), data.get("values")
        flags = [data.get(key) for key in ("is_choice", "is_repeated", "is_mapping")]
        if not isinstance(name, str) or not isinstance(values, list | None):
            raise ValueError("no field of a table")
        if not all(isinstance(flag, bool) for flag in flags):
            raise ValueError("no field of a table")
        role = data.get("record", "")
        if role not in get_args(RecordRole):
            raise ValueError("no field of a table")
        is_choice, is_repeated, is_mapping = map(bool, flags)
        values = None if values is None else tuple(values)
        has_bounds = data.get("has_bounds", False) is True
        return cls(name, is_choice, values, is_repeated, is_mapping, role, has_bounds)


def table_fields(automaton: AutomatonGraph) -> tuple[TableField, ...]:
    """Return the fields of a program, in the order of its actions.

    :raises InputError: for a record whose schema or template is not supported.
    """
    own_uids = automaton.by_uid.keys()
    automaton = expand_records(automaton)
    by_name: dict[str, list[Action]] = {}
    for action in automaton.field_actions:
        by_name.setdefault(str(action.name), []).append(action)
    return tuple(
        TableField(
            name=name,
            is_choice=any(map(_has_choice, actions)),
            values=_static_values(actions),
            is_repeated=any(_can_repeat(automaton, action, actions) for action in actions),
            is_mapping=any(isinstance(action, Ask) for action in actions),
            record=_record_role(actions, own_uids),
            has_bounds=any(map(_reads_best, actions)),
        )
        for name, actions in by_name.items()
    )


def _record_role(actions: Iterable[Action], own_uids: Container[str]) -> RecordRole:
    """Return the role of a field; the parts of records have none of the program's own uids."""
    for action in actions:
        if isinstance(action, RecordEnd):
            return "flat" if action.flat else "record"
        if action.uid not in own_uids:
            return "part"
    return ""


def _static_values(actions: Iterable[Action]) -> tuple[Any, ...] | None:
    """Return the values of all choices; None if a row decides about them, or for other actions."""
    values: dict[Any, None] = {}
    for action in actions:
        if not isinstance(action, Choose):
            return None
        choices = [choice for choice in action.choices if isinstance(choice, str | Choice)]
        if len(choices) < len(action.choices) or not all(map(_has_static_value, choices)):
            return None
        values.update(dict.fromkeys(values_of(choices)))
    return tuple(values)


def _has_static_value(choice: str | Choice) -> bool:
    if isinstance(choice, str) or choice.value is not None:
        return True
    return isinstance(choice.texts[0], str)


def _has_choice(action: Action) -> bool:
    return any(_choices_of(action))


def _reads_best(action: Action) -> bool:
    return any(step.top is not None for step in _choices_of(action))


def _choices_of(action: Action) -> Iterator[Choose]:
    """Yield an action that is a choice, or the named choices of a group."""
    if isinstance(action, Choose):
        yield action
    elif isinstance(action, Ask):
        for question in action.questions:
            yield from (step for step in question if isinstance(step, Choose) and step.name)


def _can_repeat(automaton: AutomatonGraph, action: Action, others: Iterable[Action]) -> bool:
    """Return whether a path can go on from an action to one with the same name."""
    ends = {other.uid for other in others}
    groups = [group for group in automaton.actions if isinstance(group, Ask)]
    seen: set[str] = set()
    open_uids = list(next_uids(action, groups))
    while open_uids:
        uid = open_uids.pop()
        if uid in ends:
            return True
        if uid not in seen and uid in automaton.by_uid:
            seen.add(uid)
            open_uids.extend(next_uids(automaton.by_uid[uid], groups))
    return False
