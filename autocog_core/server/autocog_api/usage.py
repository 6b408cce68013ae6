"""What a request cost."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, Field


class CallUsage(BaseModel):
    """What a request cost."""

    calls: int = Field(description="Calls of the model.")
    tokens_evaluated: int | None = Field(
        description="Tokens that the model evaluated; null if the engine does not say. Calls that "
        "were made together share beginnings, which the first of them counts."
    )


def usage_of(tokens: Iterable[int | None]) -> dict[str, int | None]:
    """Return the `CallUsage` of calls as plain data.

    :param tokens: of each call: the tokens that the model evaluated, if the engine says it.
    """
    counts = list(tokens)
    known = [count for count in counts if count is not None]
    return {
        "calls": len(counts),
        "tokens_evaluated": sum(known) if len(known) == len(counts) else None,
    }
