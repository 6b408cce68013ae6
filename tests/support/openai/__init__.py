"""Helpers of the tests of autocog-openai."""
