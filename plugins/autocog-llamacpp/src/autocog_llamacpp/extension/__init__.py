"""The optional extension in C++, and what it runs."""
