"""The rows of finished runs as columns, and the figures about them."""
