"""Building blocks for backends."""
