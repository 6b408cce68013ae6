"""Secrets: values of `env:NAME`, and what options and URLs hold openly; none is ever shown."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote_plus, urlsplit

ENV_PREFIX = "env:"

#: A shorter value is no secret (a seed, a switch), and taking it out would garble messages.
MIN_SECRET_LENGTH = 6
#: What stands for a secret.
MASK = "***"
_SECRET_WORDS = {"key", "apikey", "token", "secret", "password", "passwd", "passphrase", "headers"}
_SECRET_WORDS |= {"authorization", "auth", "credential", "credentials", "cookie"}
_SECRET_WORDS |= {"signature", "sig"}
#: `KEY_FILE` says where a key is.
_LOCATION_WORDS = {"file", "path", "dir", "folder", "sock"}

_known_secrets: set[str] = set()


def register_secret(value: str) -> None:
    """Remember a secret that came another way, so that `redact` can take it out of messages."""
    if len(value) >= MIN_SECRET_LENGTH:
        _known_secrets.add(value)


def register_secret_words(value: str) -> None:
    """Remember a secret of several words: of "Bearer KEY" the key alone is one, too."""
    for part in (value, *value.split()):
        register_secret(part)


def register_secret_option(name: str, value: str) -> None:
    """Remember what of an option is secret: all of it, by its name, or what a URL holds."""
    if value.startswith(ENV_PREFIX):
        from_environment(value)
    elif is_secret_name(name):
        register_secret_words(value)
    else:
        register_secret_url(value)


def register_secret_url(url: str) -> None:
    """Remember what a URL holds: who asks, and values of `?api_key=` and the like."""
    userinfo, fields = _secrets_of(url)
    user, _, password = userinfo.partition(":")
    for text in (userinfo, user, password, *(field.partition("=")[2] for field in fields)):
        # As it stands there, and as a server would repeat it.
        register_secret(text)
        register_secret(unquote_plus(text))


def from_environment(reference: str) -> str | None:
    """The value that `env:NAME` stands for, or None where the variable is not set.

    The value is remembered, so that `redact` can take it out of any message later.
    """
    value = os.environ.get(reference.removeprefix(ENV_PREFIX))
    if value:
        register_secret(value)
    return value


def is_secret_name(name: str) -> bool:
    """Whether what goes by this name is kept secret: `api_key`, `HF_TOKEN`; not `max_tokens`."""
    words = re.findall("[a-z]+", name.lower())
    return not _SECRET_WORDS.isdisjoint(words) and words[-1] not in _LOCATION_WORDS


def redact(text: str) -> str:
    """`text` with every secret that became known replaced by ***."""
    # Longest first: a secret that contains another one must not leave its rest behind.
    for value in sorted(_known_secrets, key=len, reverse=True):
        text = text.replace(value, MASK)
    return text


def texts_in(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """The texts inside `value`, each with the keys that lead to it."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, entry in value.items():
            yield from texts_in(entry, f"{key}.{name}")
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from texts_in(entry, key)


def redact_options(value: Any, name: str = "") -> Any:
    """Options as they may be shown: secrets replaced by ***, and `env:NAME` as it stands there."""
    if isinstance(value, Mapping):
        return {key: redact_options(entry, f"{name}.{key}") for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [redact_options(entry, name) for entry in value]
    if isinstance(value, str) and value.startswith(ENV_PREFIX):
        return value
    # A number may be a password; true, false and fractions are none.
    if is_secret_name(name) and isinstance(value, str | int) and not isinstance(value, bool):
        return MASK
    return redact_url(value) if isinstance(value, str) else value


def redact_url(url: str) -> str:
    """A URL as it may be shown; what is no URL, and one without secrets, as it is."""
    userinfo, fields = _secrets_of(url)
    if userinfo:
        url = url.replace(f"{userinfo}@", f"{MASK}@", 1)
    for field in fields:
        url = re.sub(
            rf"(?<=[?&]){re.escape(field)}(?=[&#]|$)", f"{field.partition('=')[0]}={MASK}", url
        )
    return url


def _secrets_of(url: str) -> tuple[str, list[str]]:
    """What stands before the host, and the fields `name=value` that are secret by their names."""
    if "://" not in url:
        return "", []
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", []
    fields = [field for field in parts.query.split("&") if "=" in field]
    secret = [each for each in fields if is_secret_name(unquote_plus(each.partition("=")[0]))]
    return parts.netloc.rpartition("@")[0], secret
