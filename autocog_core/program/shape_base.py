"""What all shapes of a program file have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Shape(BaseModel):
    """Base: exactly these keys, of exactly these types.

    The tags of unions are in brackets, for places in the data are told from them.
    """

    model_config = ConfigDict(extra="forbid", strict=True, protected_namespaces=())
