"""Backends with one mistake each (mutants), and the laws and tests that must catch them.

`test_mutants.py` has the table. The other modules have the mutants, by what they get wrong.
"""
