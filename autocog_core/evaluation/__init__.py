"""Runs of automata on models."""
