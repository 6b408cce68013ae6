"""Secrets taken from the environment (`env:NAME`): resolved late, and never shown again."""

from __future__ import annotations

import os
import re

PREFIX = "env:"

#: A shorter value is no secret (a seed, a switch), and taking it out would garble messages.
SHORTEST = 6
#: What stands for a secret.
HIDDEN = "***"
_SECRET_WORDS = {"key", "apikey", "token", "secret", "password", "passwd", "passphrase", "headers"}
_SECRET_WORDS |= {"authorization", "auth", "credential", "credentials", "cookie"}
#: `KEY_FILE` says where a key is.
_PLACES = {"file", "path", "dir", "folder", "sock"}

_revealed: set[str] = set()


def conceal(value: str) -> None:
    """Remember a secret that came another way, so that `redact` can take it out of messages."""
    if len(value) >= SHORTEST:
        _revealed.add(value)


def from_environment(reference: str) -> str | None:
    """The value that `env:NAME` stands for, or None where the variable is not set.

    The value is remembered, so that `redact` can take it out of any message later.
    """
    value = os.environ.get(reference.removeprefix(PREFIX))
    if value:
        conceal(value)
    return value


def is_secret_name(name: str) -> bool:
    """Whether what goes by this name is kept secret: `api_key`, `HF_TOKEN`; not `max_tokens`."""
    words = re.findall("[a-z]+", name.lower())
    return not _SECRET_WORDS.isdisjoint(words) and words[-1] not in _PLACES


def redact(text: str) -> str:
    """`text` with every secret that became known replaced by ***."""
    # Longest first: a secret that contains another one must not leave its rest behind.
    for value in sorted(_revealed, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return text
