"""How much processor time the control groups of Linux allow, as containers set it.

Neither the number of processors nor the affinity shows this limit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def limit_threads(count: int, *, root: Path = Path("/")) -> int:
    """Return a number of threads, or fewer if a container allows less processor time.

    :param count: the number of threads, at least 1.
    :param root: the root of the file system.
    """
    quota = processor_quota(root=root)
    return count if quota is None else max(1, min(count, math.ceil(quota)))


def processor_quota(*, root: Path = Path("/")) -> float | None:
    """Return how many processors' time this process may use; None without a limit.

    This is the lowest limit of its control group and those above, of version 1 or 2.

    :param root: the root of the file system.
    """
    limits = [limit for folder in _groups(root) if (limit := _limit_of(folder)) is not None]
    return min(limits, default=None)


def _groups(root: Path) -> Iterator[Path]:
    """Yield the folders of the process's groups for processor time, and of all groups above."""
    own = _own_groups(root)
    for line in _lines(root / "proc/self/mountinfo"):
        # ... 4: root, 5: mount point, ... "-" type, source, options of the file system
        mount, _, system = line.partition(" - ")
        fields, (kind, *_, options) = mount.split(), system.split() or ["", ""]
        version = {"cgroup": "cpu", "cgroup2": ""}.get(kind)
        if version is None or version not in own or (version and "cpu" not in options.split(",")):
            continue
        top = root / fields[4].lstrip("/")
        group, mounted = PurePosixPath(own[version]), fields[3]
        below = group.relative_to(mounted) if group.is_relative_to(mounted) else PurePosixPath()
        # Outside of a namespace, the name begins with "..": the mounted group is all there is.
        folder = top if ".." in below.parts else top / below
        yield folder
        yield from (parent for parent in folder.parents if parent.is_relative_to(top))


def _own_groups(root: Path) -> dict[str, str]:
    """Return the process's groups: "cpu" for version 1, and "" for version 2."""
    groups = {}
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, group = line.split(":", maxsplit=2)
        for controller in controllers.split(","):
            groups[controller] = group
    return groups


def _limit_of(folder: Path) -> float | None:
    quota, period = "", ""
    if words := " ".join(_lines(folder / "cpu.max")).split():
        quota, period = words
    elif words := _lines(folder / "cpu.cfs_quota_us"):
        quota, period = words[0], "".join(_lines(folder / "cpu.cfs_period_us"))
    # "max" and -1 are no limit.
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []
