"""Errors in an automaton, found without a model."""
