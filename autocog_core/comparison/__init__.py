"""Two models on the same work."""
