"""Wrappers that come with core: `trace`, `cache` and `record`; and `replay`, a backend.

They are found by entry point, as those of other distributions are; see `docs/wrappers.md`.
"""
