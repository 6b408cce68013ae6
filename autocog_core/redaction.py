"""Removal of secrets from messages.

Secrets are values of `env:NAME`, of options with a secret's name, and parts of URLs. Code that
reads one registers it, and `redact` removes it from texts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote_plus, urlsplit

ENV_PREFIX = "env:"
#: A shorter value is no secret (a seed, a switch), and its removal would garble messages.
MIN_SECRET_LENGTH = 6
#: The replacement of a secret.
MASK = "***"
_SECRET_WORDS = {"key", "apikey", "token", "secret", "password", "passwd", "passphrase", "headers"}
_SECRET_WORDS |= {"authorization", "auth", "credential", "credentials", "cookie"}
_SECRET_WORDS |= {"signature", "sig"}
#: The value of `KEY_FILE` is not the key, but its location.
_LOCATION_WORDS = {"file", "path", "dir", "folder", "sock"}

_known_secrets: set[str] = set()


def register_secret(value: str) -> None:
    """Register a secret, so that `redact` removes it.

    :param value: the secret; values under `MIN_SECRET_LENGTH` characters are ignored.
    """
    if len(value) >= MIN_SECRET_LENGTH:
        _known_secrets.add(value)


def register_secret_words(value: str) -> None:
    """Register a secret and each of its words: in "Bearer KEY", the key alone is a secret, too.

    :param value: the secret.
    """
    for text in (value, *value.split()):
        register_secret(text)


def register_secret_option(name: str, value: str) -> None:
    """Register the secrets in an option: the whole value if its name says so, or parts of a URL.

    :param name: the option's name.
    :param value: its value, or `env:NAME`.
    """
    if value.startswith(ENV_PREFIX):
        from_environment(value)
    elif is_secret_name(name):
        register_secret_words(value)
    else:
        register_secret_url(value)


def register_secret_url(url: str) -> None:
    """Register the secrets in a URL: user, password, and parameters such as `?api_key=`.

    :param url: any text; texts that are not URLs have no secrets.
    """
    userinfo, fields = _secrets_of(url)
    user, _, password = userinfo.partition(":")
    for text in (userinfo, user, password, *(field.partition("=")[2] for field in fields)):
        # As written in the URL, and decoded, as a server repeats it.
        register_secret(text)
        register_secret(unquote_plus(text))


def from_environment(reference: str) -> str | None:
    """Return the value of an environment variable, and register it as a secret.

    :param reference: `env:NAME`.
    :returns: None if the variable is not set.
    """
    value = os.environ.get(reference.removeprefix(ENV_PREFIX))
    if value:
        register_secret(value)
    return value


def is_secret_name(name: str) -> bool:
    """Return whether values of this name are secrets: `api_key`, `HF_TOKEN`; not `max_tokens`.

    :param name: the name of an option, header, parameter or environment variable.
    """
    words = re.findall("[a-z]+", name.lower())
    return not _SECRET_WORDS.isdisjoint(words) and words[-1] not in _LOCATION_WORDS


def redact(text: str) -> str:
    """Return `text` with `***` in place of each registered secret.

    :param text: any text, such as a message.
    """
    # Longest first: one secret may contain another, and all of it must go.
    for value in sorted(_known_secrets, key=len, reverse=True):
        text = text.replace(value, MASK)
    return text


def find_texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield the texts inside nested data, each with its path of keys.

    :param value: mappings, lists, texts and other values.
    :param key: the path of `value`.
    """
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, entry in value.items():
            yield from find_texts(entry, f"{key}.{name}")
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from find_texts(entry, key)


def redact_options(value: Any, name: str = "") -> Any:
    """Return a copy of options with `***` in place of secrets. References `env:NAME` stay.

    :param value: options, or a value among them.
    :param name: the path of `value`.
    """
    if isinstance(value, Mapping):
        return {key: redact_options(entry, f"{name}.{key}") for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [redact_options(entry, name) for entry in value]
    if isinstance(value, str) and value.startswith(ENV_PREFIX):
        return value
    # A password may be an integer, but not a boolean or a fraction.
    if is_secret_name(name) and isinstance(value, str | int) and not isinstance(value, bool):
        return MASK
    return redact_url(value) if isinstance(value, str) else value


def redact_url(url: str) -> str:
    """Return a URL with `***` in place of secrets.

    :param url: any text; texts that are not URLs stay unchanged.
    """
    userinfo, fields = _secrets_of(url)
    if userinfo:
        url = url.replace(f"{userinfo}@", f"{MASK}@", 1)
    for field in fields:
        url = re.sub(
            rf"(?<=[?&]){re.escape(field)}(?=[&#]|$)", f"{field.partition('=')[0]}={MASK}", url
        )
    return url


def _secrets_of(url: str) -> tuple[str, list[str]]:
    """The part before the host, and those parameters `name=value` that are secrets."""
    if "://" not in url:
        return "", []
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", []
    fields = [field for field in parts.query.split("&") if "=" in field]
    secrets = [text for text in fields if is_secret_name(unquote_plus(text.partition("=")[0]))]
    return parts.netloc.rpartition("@")[0], secrets
