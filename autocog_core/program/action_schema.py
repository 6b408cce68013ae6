"""The schema of the keys that all actions have."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from autocog_core.automaton.actions import ContextStart
from autocog_core.program.token_set_schema import Schema

METADATA = "Any data of the author; autocog ignores it."


class ActionSchema(Schema):
    """The keys that all actions have."""

    uid: str | None = Field(
        None, description="Unique name, for `next`. Default: the name, or kind and position."
    )
    name: str | None = Field(None, description="The field of the result for the action's text.")
    model: str | None = Field(None, description="Which of several models runs the action.")
    max_visits: int | None = Field(None, description="How often a path may reach the action.")
    context: ContextStart = Field(
        "continue",
        description="fresh: the action begins a new text; no model sees the path's text before it.",
    )
    next: str | None = Field(
        None,
        description='Uid of the next action; "end" or null ends the path. Default: the next one '
        "in the file.",
    )
    metadata: dict[str, Any] = Field({}, description=METADATA)
