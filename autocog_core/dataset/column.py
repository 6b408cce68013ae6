"""A column of a table of output rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from autocog_core.dataset.column_kind import Kind

#: Which probabilities a table has; "winner" is for runs that read only the best choices.
Probs = Literal["none", "best", "all", "winner"]
#: Returns the value of a cell from an output row.
ReadCell = Callable[[Mapping[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    :ivar name: its name.
    :ivar read: returns its cell of an output row.
    :ivar kind: the type of its cells; None if it depends on the rows.
    :ivar has_lists: whether cells of an unknown kind are lists.
    """

    name: str
    read: ReadCell
    kind: Kind | None = None
    has_lists: bool = False
