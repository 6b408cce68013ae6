"""The actions of a list: items one by one, and a loop where their number has no bound."""

from __future__ import annotations

from typing import Protocol

from autocog_core.errors import InputError
from autocog_core.records.builder import Builder, Tail
from autocog_core.records.effects import Begin, End, Item
from autocog_core.records.parts import Array, Part
from autocog_core.records.place import Limits, Place
from autocog_core.records.styles import JsonStyle


class Writer(Protocol):
    """What writes the items of a list."""

    builder: Builder
    style: JsonStyle
    limits: Limits

    def write(self, part: Part, place: Place, rest: Tail, lead: str = "") -> Tail:
        """Return an item and the rest of the record."""


def write_array(writer: Writer, part: Array, place: Place, rest: Tail, lead: str) -> Tail:
    """Return a list and the rest of the record.

    After each item beyond the minimum, a choice says whether another one follows. A list with a
    bound has actions of its own for each item, so that nothing is left to choose after the last
    one. In a list without one, the items share their actions, from the second on.

    :param writer: writes the items.
    :param part: the list.
    :param place: where it stands.
    :param rest: what comes after it.
    :param lead: blanks before it.
    """
    tails = array_tails(writer, part, place, rest, lead)
    chosen = writer.builder.choose(f"{place.uid}/any", tails, place.path, "value")
    assert chosen is not None, "no item begins with a closing bracket"
    return chosen


def array_tails(writer: Writer, part: Array, place: Place, rest: Tail, lead: str) -> list[Tail]:
    """Return a list with items and the rest of the record, and the empty list if it is valid.

    The parameters are those of `write_array`.
    """
    return _ArrayWriter(writer, part, place, rest).tails(lead)


class _ArrayWriter:
    def __init__(self, writer: Writer, part: Array, place: Place, rest: Tail) -> None:
        limit = writer.limits.max_items
        if part.minimum > limit:
            raise InputError(
                f"has at least {part.minimum} items, and max_items is {limit}",
                where=place.name or "schema",
                hint="give a larger max_items",
            )
        self.writer, self.part, self.place = writer, part, place
        self.end = rest.prepend("]", End())
        separator = writer.style.item_separator
        self.separator = separator.rstrip()
        self.item_lead = separator[len(self.separator) :]
        #: Items with actions of their own.
        self.single = max(1, part.minimum, len(part.first))
        self.looped = max(0, limit - self.single)
        if part.maximum is not None and part.maximum <= limit:
            self.single, self.looped = part.maximum, 0
        elif part.maximum is not None:
            self.looped = min(self.looped, part.maximum - self.single)

    def tails(self, lead: str) -> list[Tail]:
        after = self._loop() if self.looped else self.end
        for index in reversed(range(self.single)):
            item = self._item(index, after)
            if index >= self.part.minimum and index > 0:
                after = self._choose_more(index, item)
            else:
                after = item
        opening = f"{lead}["
        begin = Begin("array")
        if not self.single:
            text = f"{opening}]"
            return [_prepend_list(self.end, opening, begin, len(text))]
        some = _prepend_list(after, opening, begin, len(opening))
        if self.part.minimum:
            return [some]
        none = self.end.prepend(opening, begin, cuts=[len(opening) + 1])
        return [some, none]

    def _item(self, index: int | None, after: Tail) -> Tail:
        """Return an item, with the separator before it if it is not the first."""
        part = self.part.item if index is None else self.part.part_at(index)
        assert part is not None
        place = self.place.item(index, max(1, self.looped) if index is None else 1)
        lead = "" if index == 0 else self.item_lead
        item = self.writer.write(part, place, after, lead)
        return item.prepend("" if index == 0 else self.separator, Item())

    def _choose_more(self, index: int, item: Tail) -> Tail:
        chosen = self.writer.builder.choose(
            f"{self.place.uid}/more", [item, self.end], self.place.path, "container"
        )
        assert chosen is not None, "a separator differs from a bracket"
        return chosen

    def _loop(self) -> Tail:
        """Return the choice after an item, and the items that it leads to again and again."""
        builder = self.writer.builder
        uid = builder.new_uid(f"{self.place.uid}/more")
        item = self._item(None, Tail(uid=uid))
        visits = {0: self._visits()}
        chosen = builder.choose(
            "", [item, self.end], self.place.path, "container", visits=visits, uid=uid
        )
        assert chosen is not None, "a separator differs from a bracket"
        return chosen

    def _visits(self) -> int:
        """Return how often a path may enter the loop: a list inside another loop is met often."""
        visits = self.looped * self.place.visits
        if self.part.maximum is None:
            return visits
        return min(visits, self.part.maximum - self.single)


def _prepend_list(tail: Tail, opening: str, begin: Begin, cut: int) -> Tail:
    """Return a list whose opening bracket is followed by a rest."""
    moved = tail.prepend(opening, begin)
    # A choice may end after the bracket, or after what opens the first item.
    cuts = [each for each in moved.cuts if each > cut] or [cut]
    return Tail(moved.text, moved.effects, moved.uid, tuple(cuts))
