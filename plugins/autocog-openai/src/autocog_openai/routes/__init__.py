"""The HTTP routes that write text: one file for each route."""
