"""Checks of an automaton that need no model."""
