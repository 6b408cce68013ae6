"""The memory that a context needs, and the memory that is available, checked before allocation.

The system kills a process that fills memory beyond the available amount.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import psutil

from autocog_core import ModelLoadError


class CacheType(NamedTuple):
    """A type of cached keys and values.

    :ivar ggml_type: ggml's number of the type.
    :ivar value_bytes: bytes of one value.
    :ivar block: number of values that are quantized together, with one scale.
    """

    ggml_type: int
    value_bytes: float
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

#: The folder of a Linux container's files, and the files with its limit and usage; and, in its
#: `memory.stat`, the cached files that the system drops first: cgroups version 2, then 1.
_CGROUPS = (
    ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    (
        "/sys/fs/cgroup/memory",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
)


def available_memory() -> int:
    """Return the bytes that this process can still allocate, within its container's limit."""
    available = int(psutil.virtual_memory().available)
    for folder, limit, usage, cached in _CGROUPS:
        try:
            left = int(Path(folder, limit).read_text()) - int(Path(folder, usage).read_text())
            facts = dict(
                line.split() for line in Path(folder, "memory.stat").read_text().splitlines()
            )
            left += int(facts.get(cached, 0))
        except (OSError, ValueError):
            # No such container, or "max": no limit.
            continue
        available = min(available, max(0, left))
    return available


def cache_bytes(cells: int, heads: int, widths: tuple[int, int], types: tuple[str, str]) -> int:
    """Return the bytes of a KV cache.

    :param cells: number of tokens.
    :param heads: number of heads of all layers together.
    :param widths: the widths of a key and of a value.
    :param types: the types of keys and of values, as in `CACHE_TYPES`.
    """
    head_bytes = sum(
        width * CACHE_TYPES[kind].value_bytes for width, kind in zip(widths, types, strict=True)
    )
    return int(cells * heads * head_bytes)


def require_memory(needed: int, purpose: str, hint: str) -> None:
    """Check that memory is available.

    :param needed: number of bytes.
    :param purpose: what needs them, for the message.
    :param hint: the hint of the error.
    :raises ModelLoadError: if `needed` bytes are not available.
    """
    available = available_memory()
    if needed > available:
        raise ModelLoadError(
            f"{purpose} needs {_gigabytes(needed)}, and {_gigabytes(available)} are free", hint=hint
        )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
