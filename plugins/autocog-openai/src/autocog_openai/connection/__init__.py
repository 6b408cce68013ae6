"""Talking to a server: requests, streams, errors, and what the server can do."""
