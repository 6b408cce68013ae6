"""Tokenizers and chat templates of models: bytes of tokens, special tokens, untrusted text."""
