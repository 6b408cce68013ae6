"""Core's wrappers `trace`, `cache` and `record`, and the backend `replay`.

They are loaded by entry point, like those of other distributions; see `docs/wrappers.md`.
"""
