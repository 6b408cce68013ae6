"""The connection to a server: requests, streams, errors, and the server's capabilities."""
