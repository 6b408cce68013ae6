"""Decisions of a server: protocols that ask which of several options holds."""
