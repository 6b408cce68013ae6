"""Build the actions of a record from its end to its beginning."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autocog_core.automaton.actions import Action, Choose, Complete, Text
from autocog_core.automaton.choices import Choice
from autocog_core.errors import InputError
from autocog_core.records.effects import Effect, Owner
from autocog_core.types.choice_value import value_text

#: Actions of a record.
MAX_ACTIONS = 10_000
_CLOSERS = re.compile(r"[\]}]+,?")


@dataclass(frozen=True)
class Tail:
    """The rest of a record from some place on: fixed text, then an action.

    :ivar text: the text.
    :ivar effects: what the text does to the value.
    :ivar uid: the action after it; None at the end of the record.
    :ivar cuts: positions in the text at which a choice may end: after keys, opening braces and
        constants.
    """

    text: str = ""
    effects: tuple[Effect, ...] = ()
    uid: str | None = None
    cuts: tuple[int, ...] = ()

    def prepend(self, text: str, *effects: Effect, cuts: Sequence[int] = ()) -> Tail:
        """Return the rest with more text before it.

        :param text: the text.
        :param effects: what it does to the value, before the other effects.
        :param cuts: positions in it at which a choice may end.
        """
        moved = (cut + len(text) for cut in self.cuts)
        return Tail(text + self.text, (*effects, *self.effects), self.uid, (*cuts, *moved))

    def choice_text(self, level: int) -> str:
        """Return the beginning of the text that says that the path goes on here.

        :param level: how many places to end are skipped.
        """
        cuts = [cut for cut in self.cuts if cut]
        end = cuts[min(level, len(cuts) - 1)] if cuts else len(self.text)
        # Several closing brackets are often one token.
        start = 0 if self.text[:1] in ("]", "}") else end - 1
        if closers := _CLOSERS.match(self.text, max(0, start)):
            end = closers.end()
        return self.text[:end].rstrip() or self.text[:end]


@dataclass(kw_only=True)
class Builder:
    """Collects the actions of a record.

    :ivar prefix: the beginning of all uids.
    :ivar following: the uid of what follows the record; None if nothing does.
    :ivar actions: the actions by uid.
    :ivar effects: what a node does to the value, by uid and, for a choice, by its text; "" for
        other nodes.
    :ivar owners: the field that a node belongs to, by uid.
    :ivar unions: the name of the field whose alternative a choice decides, by its uid.
    """

    prefix: str
    following: str | None = None
    actions: dict[str, Action] = field(default_factory=dict)
    effects: dict[str, dict[str, tuple[Effect, ...]]] = field(default_factory=dict)
    owners: dict[str, Owner] = field(default_factory=dict)
    unions: dict[str, str] = field(default_factory=dict)
    _texts: dict[tuple[str, tuple[Effect, ...], str | None], str] = field(default_factory=dict)
    _uids: dict[str, int] = field(default_factory=dict)

    def new_uid(self, name: str) -> str:
        """Return a uid that no action has.

        :param name: what it is for, such as "items[].price".
        :raises InputError: if the record has too many actions.
        """
        if len(self._uids) >= MAX_ACTIONS:
            raise InputError(
                f"has more than {MAX_ACTIONS:,} actions",
                where="schema",
                hint="give a smaller max_items, or lists with a smaller maxItems",
            )
        uid = f"{self.prefix}{name}"
        number = self._uids.get(uid, 0) + 1
        while number > 1 and f"{uid}~{number}" in self._uids:
            number += 1
        self._uids[uid] = number
        if number > 1:
            uid = f"{uid}~{number}"
            self._uids[uid] = 1
        return uid

    def successors(self, uid: str | None) -> tuple[str, ...]:
        """Return the successors of an action that goes on at `uid`."""
        target = self.following if uid is None else uid
        return () if target is None else (target,)

    def enter(self, tail: Tail, path: str, max_visits: int | None = None) -> str | None:
        """Return the uid at which a path enters a rest of the record.

        :param tail: the rest.
        :param path: the path of the field that it comes after.
        :param max_visits: how often a path may enter here; None for no limit.
        """
        if not tail.text and not tail.effects and max_visits is None:
            return tail.uid
        key = (tail.text, tail.effects, tail.uid)
        if max_visits is None and key in self._texts:
            return self._texts[key]
        uid = self.new_uid(f"{path or 'record'}/text")
        self.actions[uid] = Text(
            uid=uid, text=tail.text, successors=self.successors(tail.uid), max_visits=max_visits
        )
        self.effects[uid] = {"": tail.effects}
        if max_visits is None:
            self._texts[key] = uid
        return uid

    def complete(
        self, path: str, effects: tuple[Effect, ...], rest: Tail, **arguments: Any
    ) -> Tail:
        """Return a rest that begins with a text that the model writes.

        :param path: the path of its field.
        :param effects: what the text does to the value.
        :param rest: what comes after it.
        :param arguments: those of `Complete`.
        """
        uid = self.new_uid(path)
        self.actions[uid] = Complete(
            uid=uid,
            name=arguments.pop("name"),
            successors=self.successors(self.enter(rest, path)),
            **arguments,
        )
        self.effects[uid] = {"": effects}
        self.owners[uid] = "value"
        return Tail(uid=uid)

    def choose(
        self,
        name: str,
        tails: Sequence[Tail],
        path: str,
        owner: Owner,
        *,
        field_name: str | None = None,
        values: Sequence[Any] | None = None,
        visits: Mapping[int, int] | None = None,
        uid: str | None = None,
    ) -> Tail | None:
        """Return a rest that begins with a choice among others; None if they begin alike.

        :param name: the name of the action, for its uid.
        :param tails: the rests to choose from.
        :param path: the path of the field.
        :param owner: the field that the choice belongs to.
        :param field_name: the name of the field that the choice sets; None for none.
        :param values: the value of each choice, if the field has them.
        :param visits: how often a path may take a choice, by its index.
        :param uid: the uid of the action, if it is known already.
        """
        if len(tails) == 1:
            return tails[0]
        texts = _distinct_texts(tails)
        if texts is None:
            return None
        uid = self.new_uid(name) if uid is None else uid
        rests = [
            Tail(tail.text[len(text) :], (), tail.uid)
            for tail, text in zip(tails, texts, strict=True)
        ]
        entries = [
            self.enter(rest, path, (visits or {}).get(index)) for index, rest in enumerate(rests)
        ]
        targets = [self.successors(entry) for entry in entries]
        if len(set(targets)) > 1 and not all(targets):
            # A choice has a successor for all of its branches, or for none.
            end = self._end_text()
            targets = [target or (end,) for target in targets]
        successors = targets[0] if len(set(targets)) == 1 else tuple(each[0] for each in targets)
        self.actions[uid] = Choose(
            uid=uid, name=field_name, choices=_with_values(texts, values), successors=successors
        )
        self.effects[uid] = {text: tail.effects for text, tail in zip(texts, tails, strict=True)}
        self.owners[uid] = owner
        return Tail(uid=uid)

    def _end_text(self) -> str:
        """Return the uid of an empty text at the end."""
        key: tuple[str, tuple[Effect, ...], None] = ("", (), None)
        if key not in self._texts:
            uid = self.new_uid("record/end")
            self.actions[uid] = Text(uid=uid, text="")
            self.effects[uid] = {"": ()}
            self._texts[key] = uid
        return self._texts[key]


def _distinct_texts(tails: Sequence[Tail]) -> list[str] | None:
    """Return the shortest beginnings of texts that are all different."""
    levels = max(len(tail.cuts) for tail in tails) + 1
    for level in range(levels):
        texts = [tail.choice_text(level) for tail in tails]
        if all(texts) and len(set(texts)) == len(texts):
            return texts
    return None


def _with_values(texts: Sequence[str], values: Sequence[Any] | None) -> tuple[str | Choice, ...]:
    """Return choices with their values, or with their JSON where values are no scalars or alike."""
    if values is None:
        return tuple(texts)
    labels = [
        value if isinstance(value, str | int | float) else value_text_of(value) for value in values
    ]
    if len({value_text(label) for label in labels}) < len(labels) or len(set(labels)) < len(labels):
        labels = [value_text_of(value) for value in values]
    return tuple(Choice(text, value=label) for text, label in zip(texts, labels, strict=True))


def value_text_of(value: Any) -> str:
    """Return a value as JSON."""
    return json.dumps(value, ensure_ascii=False)
