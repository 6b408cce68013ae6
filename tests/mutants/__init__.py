"""Mutants: backends with one mistake each, and the laws and tests that must catch them.

`test_mutants.py` has the table. The other modules have the mutants, grouped by kind of mistake.
"""
