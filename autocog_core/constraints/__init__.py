"""Constraints on whole texts: which tokens may come next, by llguidance."""
