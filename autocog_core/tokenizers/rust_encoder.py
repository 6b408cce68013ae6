"""Calls of a tokenizer of the package `tokenizers`, each with its own settings."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any


class RustEncoder:
    """Encodes texts without truncation, padding and added tokens.

    The tokenizer itself holds these settings, and its owner may change them. So each call sets
    them, and calls come one after the other.

    :param rust: the tokenizer.
    """

    def __init__(self, rust: Any) -> None:
        self._rust = rust
        self._lock = threading.Lock()
        # Calls of other methods, which try what it does, must not see padding either.
        rust.no_truncation()
        rust.no_padding()

    def __call__(self, texts: Sequence[str], parse_special: bool) -> list[list[int]]:
        """Return the ids of each text.

        :param texts: the texts.
        :param parse_special: whether special tokens in them are parsed.
        """
        with self._lock:
            self._rust.no_truncation()
            self._rust.no_padding()
            self._rust.encode_special_tokens = not parse_special
            try:
                encodings = self._rust.encode_batch_fast(list(texts), add_special_tokens=False)
            finally:
                self._rust.encode_special_tokens = False
        return [encoding.ids for encoding in encodings]
