"""How much memory a context will take, and how much there is: asked before llama.cpp asks.

llama.cpp cannot take back what it has begun to fill, and the system ends a process that fills
memory which is not there.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import psutil

from autocog_core import ModelLoadError


class CacheType(NamedTuple):
    """A type of cached keys and values: ggml's number for it, and the bytes of one value.

    :ivar block: how many values are quantized together, with one scale.
    """

    number: int
    size: float
    block: int = 1


CACHE_TYPES = {
    "f32": CacheType(0, 4.0),
    "f16": CacheType(1, 2.0),
    "bf16": CacheType(30, 2.0),
    "q8_0": CacheType(8, 34 / 32, 32),
    "q5_1": CacheType(7, 24 / 32, 32),
    "q5_0": CacheType(6, 22 / 32, 32),
    "q4_1": CacheType(3, 20 / 32, 32),
    "q4_0": CacheType(2, 18 / 32, 32),
}

#: Where Linux says what a container may use, and what it does use: cgroups version 2, then 1.
_LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)


def available_memory() -> int:
    """Bytes that this process may still take: the machine's, or its container's if less."""
    available = int(psutil.virtual_memory().available)
    for limit, usage in _LIMITS:
        try:
            left = int(Path(limit).read_text()) - int(Path(usage).read_text())
        except (OSError, ValueError):
            # No such container, or "max": no limit.
            continue
        available = min(available, max(0, left))
    return available


def cache_bytes(cells: int, heads: int, widths: tuple[int, int], types: tuple[str, str]) -> int:
    """Bytes of a KV cache: for each of `cells` tokens and each head a key and a value.

    :param heads: of all layers together. `widths`: of a key and of a value. `types`: theirs.
    """
    one = sum(width * CACHE_TYPES[kind].size for width, kind in zip(widths, types, strict=True))
    return int(cells * heads * one)


def check_memory(needed: int, what: str, hint: str) -> None:
    """Refuse what cannot fit.

    :raises ModelLoadError: if `needed` bytes are not available.
    """
    available = available_memory()
    if needed > available:
        raise ModelLoadError(
            f"{what} needs {_gigabytes(needed)}, and {_gigabytes(available)} are free", hint=hint
        )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
