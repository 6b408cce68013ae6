"""Installed distributions whose metadata cannot be read: they keep all plugins from being found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from importlib_metadata import distributions

from autocog_core.doctor.plugin_reports import GROUPS
from autocog_core.doctor.problem import Problem


@dataclass(frozen=True, slots=True)
class Damaged:
    """A distribution with unreadable metadata.

    :ivar folder: where its metadata are.
    """

    folder: str
    problem: Problem


def damaged_distributions() -> list[Damaged]:
    """The distributions that break the listing of plugins; often what an upgrade left behind."""
    found = []
    for distribution in distributions():
        what = _fault(distribution)
        if what:
            # The only way to its folder, which has no public name.
            folder = str(getattr(distribution, "_path", "a distribution"))
            mend = f"delete {folder}, or install its distribution again"
            found.append(Damaged(folder, Problem(what, mend)))
    return found


def _fault(distribution: Any) -> str:
    reading = "entry_points.txt"
    try:
        ours = [point for point in distribution.entry_points if point.group in GROUPS]
        reading = "METADATA"
        if ours and not (distribution.name and distribution.version):
            return "its METADATA lacks the name or the version"
    except Exception as error:  # noqa: BLE001 - whatever cannot be read is damage
        return f"its {reading} cannot be read: {type(error).__name__}: {error}"
    return ""
