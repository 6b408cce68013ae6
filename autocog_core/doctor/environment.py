"""Where all this runs: Python, machine, cache folder, and the variables that autocog heeds."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from autocog_core.config.cache_folder import cache_folder
from autocog_core.config.config_file import Config
from autocog_core.doctor.secrecy import named_variables
from autocog_core.redaction import is_secret_name, redact
from autocog_core.version import __version__

_OURS = "AUTOCOG_"


@dataclass(frozen=True, slots=True)
class Environment:
    """The process's surroundings; None where the system does not tell.

    :ivar cpus: those that this process may use.
    :ivar cache_bytes: what the cache folder holds. `disk_free`: what its disk has room for.
    :ivar cache_writable: whether files can be put into it.
    :ivar variables: those of autocog that are set.
    :ivar secrets: variables with secrets that are set or that the config takes values from, and
        whether each is set.
    """

    autocog: str
    python: str
    executable: str
    platform: str
    cpus: int | None
    memory_bytes: int | None
    memory_free: int | None
    cache_folder: str
    cache_bytes: int
    cache_writable: bool
    disk_free: int | None
    variables: dict[str, str]
    secrets: dict[str, bool]


def examine_environment(config: Config) -> Environment:
    """Look around."""
    folder = cache_folder().absolute()
    existing = _existing(folder)
    ours = sorted(name for name in os.environ if name.startswith(_OURS))
    hidden = {*named_variables(config), *filter(is_secret_name, ours)}
    return Environment(
        autocog=__version__,
        python=platform.python_version(),
        executable=sys.executable,
        platform=platform.platform(),
        cpus=_cpus(),
        memory_bytes=_memory(),
        memory_free=_free_memory(),
        cache_folder=str(folder),
        cache_bytes=_size(folder),
        cache_writable=os.access(existing, os.W_OK | os.X_OK) and existing.is_dir(),
        disk_free=shutil.disk_usage(existing).free,
        variables={name: redact(os.environ[name]) for name in ours if name not in hidden},
        secrets={name: bool(os.environ.get(name)) for name in sorted(hidden)},
    )


def resident_bytes() -> int | None:
    """The memory that this process holds now, or, where only that is told, held at most."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        pass
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _cpus() -> int | None:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _free_memory() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    kibibytes = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(kibibytes[0]) * 1024 if kibibytes else None


def _existing(folder: Path) -> Path:
    """`folder`, or the nearest one above it that exists."""
    return next(each for each in (folder, *folder.parents) if each.exists())


def _size(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size
            except OSError:
                # Another process has just deleted it.
                continue
    return total
