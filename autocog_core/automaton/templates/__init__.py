"""Sandboxed templates in texts and choices."""
