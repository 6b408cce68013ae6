"""docs/plugins.md: each listed plugin has the right form, and the tiers are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

from autocog_core.config.plugins import KINDS
from autocog_core.hooks.tiers import TIERS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "plugins.md").read_text(encoding="utf-8")
NAME = re.compile(r"\[(autocog-[a-z0-9]+(?:-[a-z0-9]+)*)\]\(([^)\s]+)\)")


def rows_below(heading: str) -> list[list[str]]:
    """Return the cells of the table of a section, without its head."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def find_mistakes(cells: list[str]) -> list[str]:
    """Return what is wrong with a row of the directory."""
    if len(cells) != 4:
        return [f"{len(cells)} cells in place of 4"]
    plugin, kind, purpose, offers = cells
    link = NAME.fullmatch(plugin)
    mistakes = [] if link else [f"{plugin}: not [autocog-NAME](link)"]
    if link:
        target = link.group(2)
        is_there = target.startswith("https://") or (DOCS / target).is_file()
        mistakes += [] if is_there else [f"{target}: neither https:// nor a file"]
    mistakes += [] if kind in KINDS.values() else [f"{kind}: no kind of plugin"]
    mistakes += [] if 0 < len(purpose) <= 100 else [f"{len(purpose)} characters of purpose"]
    names = [tier.name for tier in TIERS]
    listed = offers.split(", ") if offers else []
    if listed != [name for name in names if name in listed]:
        mistakes.append(f"{offers}: not tiers in their order")
    if (kind == "backend") is not bool(listed):
        mistakes.append(f"a {kind} that offers {offers or 'nothing'}")
    return mistakes


def test_each_listed_plugin_has_the_right_form() -> None:
    rows = rows_below("Directory")
    assert len(rows) >= 4
    assert [mistake for row in rows for mistake in find_mistakes(row)] == []
    names = [row[0] for row in rows]
    assert len(set(names)) == len(names)


def test_wrong_rows_are_found() -> None:
    right = ["[autocog-x](https://x.example)", "backend", "an engine", "completes, chooses"]
    assert find_mistakes(right) == []
    for index, cell in enumerate(["x", "engine", "", "chooses, completes"]):
        assert find_mistakes([*right[:index], cell, *right[index + 1 :]])
    assert find_mistakes(["[autocog-x](nowhere.md)", *right[1:]])
    assert find_mistakes([right[0], "wrapper", *right[2:]])
    assert find_mistakes(right[:3])


def test_the_table_of_tiers_is_that_of_the_code() -> None:
    def quoted(names: list[str], joint: str) -> str:
        return joint.join(f"`{name}`" for name in names)

    assert rows_below("Tiers") == [
        [tier.name, tier.title, quoted(sorted(tier.hooks), " or "), quoted(list(tier.laws), ", ")]
        for tier in TIERS
    ]
