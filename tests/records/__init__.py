"""Tests of records: schemas and types as automata."""
