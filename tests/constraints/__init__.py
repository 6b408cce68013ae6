"""Constraints on whole texts: what they accept, refuse and cost."""
