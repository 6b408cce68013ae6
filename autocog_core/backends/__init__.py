"""The built-in backends `random` and `table`, for tests and first steps without weights."""
