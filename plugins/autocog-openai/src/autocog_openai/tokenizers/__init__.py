"""Tokenizers of models on servers."""
