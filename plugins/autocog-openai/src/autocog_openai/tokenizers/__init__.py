"""Tokenizers for servers."""
