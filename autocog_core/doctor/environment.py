"""The report on the environment: Python, the machine, the cache folder, autocog's variables."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from autocog_core.config.cache_folder import cache_folder
from autocog_core.config.config_file import Config
from autocog_core.doctor.report_redaction import referenced_variables
from autocog_core.errors import ConfigError
from autocog_core.redaction import is_secret_name, redact
from autocog_core.version import __version__

_VARIABLE_PREFIX = "AUTOCOG_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What autocog runs on; None if the system does not provide a value.

    :ivar autocog: core's version.
    :ivar python: the version of Python.
    :ivar executable: the Python interpreter.
    :ivar platform: the operating system and the processor.
    :ivar cpus: the number of CPUs that this process may use.
    :ivar memory_bytes: the machine's memory.
    :ivar free_memory_bytes: the memory that programs can use now.
    :ivar cache_folder: autocog's cache folder, which may not exist yet; None if there can be none.
    :ivar cache_bytes: the size of all files in it.
    :ivar is_cache_writable: autocog can write files there.
    :ivar free_disk_bytes: the free space on its disk.
    :ivar variables: autocog's environment variables, if they are set.
    :ivar secrets: variables with secrets, and whether each is set: autocog's own, and those that
        the config refers to.
    """

    autocog: str
    python: str
    executable: str
    platform: str
    cpus: int | None
    memory_bytes: int | None
    free_memory_bytes: int | None
    cache_folder: str | None
    cache_bytes: int
    is_cache_writable: bool
    free_disk_bytes: int | None
    variables: dict[str, str]
    secrets: dict[str, bool]


def examine_environment(config: Config) -> Environment:
    """Collect the report.

    :param config: its options may refer to environment variables.
    """
    folder = _cache_folder()
    existing = _existing_folder(folder) if folder is not None else None
    names = sorted(name for name in os.environ if name.startswith(_VARIABLE_PREFIX))
    secrets = {*referenced_variables(config), *filter(is_secret_name, names)}
    return Environment(
        autocog=__version__,
        python=platform.python_version(),
        executable=sys.executable,
        platform=platform.platform(),
        cpus=_cpus(),
        memory_bytes=_memory_bytes(),
        free_memory_bytes=_free_memory_bytes(),
        cache_folder=None if folder is None else str(folder),
        cache_bytes=0 if folder is None else _size_bytes(folder),
        is_cache_writable=existing is not None
        and os.access(existing, os.W_OK | os.X_OK)
        and os.path.isdir(existing),
        free_disk_bytes=None if existing is None else _free_disk_bytes(existing),
        variables={name: redact(os.environ[name]) for name in names if name not in secrets},
        secrets={name: bool(os.environ.get(name)) for name in sorted(secrets)},
    )


def resident_bytes() -> int | None:
    """Return the memory of this process: now, or if the system has only that, its maximum."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        pass
    try:
        import resource
    except ImportError:
        return None
    maximum = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return maximum if sys.platform == "darwin" else maximum * 1024


def _cpus() -> int | None:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _free_memory_bytes() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    kibibytes = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(kibibytes[0]) * 1024 if kibibytes else None


def _cache_folder() -> Path | None:
    try:
        return cache_folder().absolute()
    except (ConfigError, OSError):
        # No home folder is known, or the current folder was removed.
        return None


def _existing_folder(folder: Path) -> Path | None:
    parents = (folder, *folder.parents)
    # Not Path.exists(), which raises an error for what this user cannot look at.
    return next((parent for parent in parents if os.path.exists(parent)), None)


def _free_disk_bytes(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def _size_bytes(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size
            except OSError:
                # Another process has deleted it.
                continue
    return total
