"""Helpers of the tests: small backends, servers, engines, and slow reference implementations."""
