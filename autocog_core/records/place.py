"""Where a value stands in a record, and the limits of what is written there."""

from __future__ import annotations

from dataclasses import dataclass

from autocog_core.errors import InputError
from autocog_core.records.field_path import join_path


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of a record beyond those of its schema.

    :ivar max_items: the largest number of items of a list without a smaller `maxItems`.
    :ivar max_tokens_per_text: the largest number of tokens of a text without a `maxLength`.
    """

    max_items: int = 20
    max_tokens_per_text: int = 64

    def __post_init__(self) -> None:
        for name in ("max_items", "max_tokens_per_text"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"{name} is {value!r}: give 1 or more", where="record")


@dataclass(frozen=True)
class Place:
    """Where a value stands in a record.

    :ivar path: its path, with the number of each list item that stands for itself: "items[0].a".
    :ivar name: the name of its field, the same for all items: "items[].a".
    :ivar visits: how often loops around it may run.
    """

    path: str = ""
    name: str = ""
    visits: int = 1

    def entry(self, key: str) -> Place:
        """Return the place of an entry of an object."""
        return Place(join_path(self.path, key), join_path(self.name, key), self.visits)

    def item(self, index: int | None, visits: int = 1) -> Place:
        """Return the place of an item; None for one in a loop.

        :param index: its index.
        :param visits: how often the loop may run.
        """
        number = "" if index is None else index
        return Place(f"{self.path}[{number}]", f"{self.name}[]", self.visits * visits)

    @property
    def uid(self) -> str:
        """The beginning of the uids of its actions."""
        return self.path or "value"

    @property
    def field(self) -> str:
        """The name of its field."""
        return self.name or "value"
