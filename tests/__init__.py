"""Tests of autocog-core, and what the tests of all distributions share (`tests.support`)."""
