"""The base class of wrappers. Core's wrappers `trace`, `cache` and `record` are loaded by name.

So is the backend `replay`, which answers from a recording. See `docs/wrappers.md`.
"""

from __future__ import annotations

from autocog_core.wrappers.watching import Watching
from autocog_core.wrappers.wrapper import HookWrapper, Wrapper, WrapperOptions

__all__ = ["HookWrapper", "Watching", "Wrapper", "WrapperOptions"]
