"""docs/serving.md has every limit of `autocog serve`, with its default."""

from __future__ import annotations

from pathlib import Path

from autocog_core.config.server_config import MIB, ServerLimits

PAGE = Path(__file__).parents[2] / "docs" / "serving.md"


def test_the_table_has_all_limits_and_their_defaults() -> None:
    lines = PAGE.read_text(encoding="utf-8").partition("| limit |")[2].splitlines()[2:]
    documented: dict[str, float] = {}
    for line in lines[: lines.index("")]:
        _, names, values, *_ = line.split("|")
        for name, value in zip(names.split(", "), values.split(", "), strict=True):
            number, _, unit = value.strip().partition(" ")
            size = MIB if unit == "MiB" else 1
            documented[name.strip(" `")] = float(number.replace(",", "")) * size

    assert documented == ServerLimits().model_dump()
