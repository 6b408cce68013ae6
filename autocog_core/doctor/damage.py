"""Installed distributions whose metadata cannot be read: their plugins are not found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from importlib_metadata import distributions

from autocog_core.doctor.plugin_reports import GROUPS
from autocog_core.doctor.problem import Problem

ENTRY_POINTS = "entry_points.txt"


@dataclass(frozen=True, slots=True)
class Damaged:
    """A distribution with unreadable metadata.

    :ivar folder: where its metadata are.
    :ivar stops_all: nothing that looks for plugins starts while it is there. (pydantic looks for
        its own when it is imported.)
    """

    folder: str
    problem: Problem
    stops_all: bool


def damaged_distributions() -> list[Damaged]:
    """Distributions with plugins that nobody finds; often what an upgrade left behind."""
    found = []
    for distribution in distributions():
        what = _fault(distribution)
        if what:
            # The only way to its folder, which has no public name.
            folder = str(getattr(distribution, "_path", "a distribution"))
            mend = f"delete {folder}, or install its distribution again"
            found.append(Damaged(folder, Problem(what, mend), ENTRY_POINTS in what))
    return found


def _fault(distribution: Any) -> str:
    reading = ENTRY_POINTS
    try:
        ours = [point for point in distribution.entry_points if point.group in GROUPS]
        reading = "METADATA"
        if ours and not (distribution.name and distribution.version):
            return "its METADATA lacks the name or the version"
    except Exception as error:  # noqa: BLE001 - whatever cannot be read is damage
        return f"its {reading} cannot be read: {type(error).__name__}: {error}"
    return ""
