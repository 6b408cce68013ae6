"""What the nodes of a path do to the value that is being read back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Key:
    """The next value is the entry of the current object with this key."""

    name: str


@dataclass(frozen=True, slots=True)
class Item:
    """The next value is the next item of the current list."""


@dataclass(frozen=True, slots=True)
class Begin:
    """The value is an object or a list, which becomes the current one."""

    kind: Literal["object", "array"]


@dataclass(frozen=True, slots=True)
class End:
    """The current object or list is complete."""


@dataclass(frozen=True, eq=False, slots=True)
class Put:
    """The value is a constant."""

    value: Any


@dataclass(frozen=True, slots=True)
class Read:
    """The value is the text of the node.

    :ivar form: "json": JSON; "string": the content of a string of JSON, without its quotes;
        "plain": plain text.
    :ivar lead: the length of fixed text before the value.
    :ivar plain: for "plain", constants in their texts, and whether other texts may be numbers.
    """

    form: Literal["json", "string", "plain"]
    lead: int = 0
    constants: tuple[tuple[str, str], ...] = ()
    may_be_number: bool = False
    may_be_string: bool = True


Effect = Key | Item | Begin | End | Put | Read
#: The field that the numbers of a node belong to: the value that is next ("value"), or the
#: current object or list, of which it decides how it goes on ("container").
Owner = Literal["value", "container"]
