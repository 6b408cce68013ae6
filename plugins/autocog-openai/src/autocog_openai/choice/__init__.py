"""Ways of scoring a choice on a server."""
