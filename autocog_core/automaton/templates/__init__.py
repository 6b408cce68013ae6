"""Sandboxed templates for the texts and choices of a program."""
