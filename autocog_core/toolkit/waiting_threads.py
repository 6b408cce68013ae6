"""How the threads of OpenMP wait for each other: awake for a moment, then asleep.

An engine's threads meet some hundred times in each evaluation. The thread that comes first looks
again and again whether the others have come. GNU's OpenMP looks for about ten milliseconds before
the thread sleeps. If other work needs the same processors, the waiting threads keep it, and the
threads that they wait for, from running. If a thread sleeps at once, evaluations of few tokens take
up to 2.5 times as long. About a tenth of a millisecond serves both (benchmarks/waiting_threads.py).

OpenMP reads the environment when it is loaded, so this must happen before.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path, PurePosixPath

log = logging.getLogger(__name__)

#: How often a waiting thread of GNU's OpenMP looks before it sleeps. The default is 300,000.
SPIN_COUNT = 5000

#: What is set. The OpenMP of LLVM and Intel counts milliseconds, and its default is 200.
_DEFAULTS = {"GOMP_SPINCOUNT": str(SPIN_COUNT), "KMP_BLOCKTIME": "1"}

#: Who sets one of these has decided how threads wait.
_VARIABLES = ("OMP_WAIT_POLICY", *_DEFAULTS)

#: Without a hash in the name: packages such as scikit-learn have copies that only they use.
_LIBRARIES = ("libgomp.so", "libiomp5.so", "libomp.so", "libomp5.so")

_MAPS = Path("/proc/self/maps")

#: Libraries that were loaded before the variables were set.
_loaded_before: list[str] = []


def wait_briefly() -> None:
    """Let the threads of OpenMP sleep soon when they wait, in this process and those it starts.

    Does nothing if the environment has `OMP_WAIT_POLICY`, `GOMP_SPINCOUNT` or `KMP_BLOCKTIME`. Call
    it before the engine is imported.
    """
    if any(os.environ.get(name) for name in _VARIABLES):
        return
    _loaded_before.extend(find_openmp(_MAPS))
    os.environ.update(_DEFAULTS)


def warn_of_spinning() -> None:
    """Log a warning, once, if OpenMP had been loaded before `wait_briefly` was called."""
    if not _loaded_before:
        return
    log.warning(
        "%s was loaded before autocog could set how its threads wait: beside other work on the "
        "same processors, calls take many times as long. Import autocog's plugin before the "
        "engine, or start the process with GOMP_SPINCOUNT=%d "
        "(OMP_WAIT_POLICY=active keeps it as it is)",
        " and ".join(_loaded_before),
        SPIN_COUNT,
    )
    _loaded_before.clear()


def find_openmp(maps: Path) -> list[str]:
    """Return the paths of OpenMP's libraries in a process.

    :param maps: its memory map, /proc/self/maps. If there is none, the result is empty.
    """
    try:
        lines = maps.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    # address, permissions, offset, device, inode, path
    paths = {fields[5] for line in lines if len(fields := line.split(maxsplit=5)) == 6}
    return sorted(path for path in paths if PurePosixPath(path).name.startswith(_LIBRARIES))
