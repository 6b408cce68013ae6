"""Helpers of the tests of autocog-tf."""
