"""The types of a backend's options, as `autocog backends NAME` shows them."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import BaseModel, Field

from autocog_core.cli.type_labels import type_label


class Options(BaseModel):
    count: int = Field(1, ge=1, lt=2**31)
    share: float = Field(0.5, ge=0, le=1)
    kind: Literal["a", "b"] | None = None
    names: tuple[str, ...] = ()
    pairs: dict[str, int] = Field(default_factory=dict)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("count", "int >= 1"),
        ("share", "float >= 0 <= 1"),
        ("kind", '"a" | "b" | none'),
        ("names", "list of str"),
        ("pairs", "dict[str, int]"),
    ],
)
def test_label_of_a_type(name: str, expected: str) -> None:
    assert type_label(Options.model_fields[name]) == expected
