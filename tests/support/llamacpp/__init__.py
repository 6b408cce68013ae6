"""Helpers of the tests of autocog-llamacpp."""
