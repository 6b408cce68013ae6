from __future__ import annotations

from typing import Literal

import pytest
from pydantic import BaseModel, Field

from autocog_core.cli.type_names import type_name


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
def test_types_are_named_as_people_read_them(name: str, expected: str) -> None:
    assert type_name(Options.model_fields[name]) == expected
