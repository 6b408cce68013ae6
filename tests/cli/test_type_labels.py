"""The types of a backend's options, as `autocog backends NAME` shows them."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from autocog_core.cli.type_labels import type_label
from autocog_core.config.options import Resource
from autocog_core.config.required_files import RequiredFiles


class Options(BaseModel):
    count: int = Field(1, ge=1, lt=2**31)
    share: float = Field(0.5, ge=0, le=1)
    kind: Literal["a", "b"] | None = None
    names: tuple[str, ...] = ()
    pairs: dict[str, int] = Field(default_factory=dict)
    folder: Annotated[Resource, RequiredFiles("a", ("b", "c"))] = "."


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("count", "int >= 1"),
        ("share", "float >= 0 <= 1"),
        ("kind", '"a" | "b" | none'),
        ("names", "list of str"),
        ("pairs", "dict[str, int]"),
        ("folder", "folder with a, b or c"),
    ],
)
def test_label_of_a_type(name: str, expected: str) -> None:
    assert type_label(Options.model_fields[name]) == expected
