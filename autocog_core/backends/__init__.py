"""Backends that come with core: `random` and `table`, for tests and first steps without weights."""
