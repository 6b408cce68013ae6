"""The optional C++ extension."""
