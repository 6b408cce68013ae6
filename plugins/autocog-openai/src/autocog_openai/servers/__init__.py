"""What is particular about each kind of server."""
