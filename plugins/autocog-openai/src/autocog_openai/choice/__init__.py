"""Methods that score a choice on a server."""
