"""Secrets that are told openly, in options or the environment: none may appear in a report."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from autocog_core import secrets
from autocog_core.config import Config
from autocog_core.secrets import is_secret_name


def conceal_all(config: Config | None) -> None:
    """Let `redact` know the environment's secrets, and those that the config's options hold."""
    for name, value in os.environ.items():
        if is_secret_name(name):
            secrets.conceal(value)
    for key, value in _options(config):
        conceal_option(key, value)


def conceal_option(key: str, value: str) -> None:
    """Let `redact` know one option's value, or what of it is secret."""
    if value.startswith(secrets.PREFIX):
        secrets.from_environment(value)
        return
    if is_secret_name(key):
        # "Bearer KEY": the key alone is a secret, too.
        for part in (value, *value.split()):
            secrets.conceal(part)
    elif "://" in value and "@" in value:
        secrets.conceal(_password(value))


def named_variables(config: Config | None) -> list[str]:
    """The environment variables that the config's options take values from, sorted."""
    prefix = secrets.PREFIX
    values = [value for _, value in _options(config) if value.startswith(prefix)]
    return sorted({value.removeprefix(prefix) for value in values})


def _options(config: Config | None) -> Iterator[tuple[str, str]]:
    for model in config.models.values() if config is not None else ():
        for options in (model.options, *(wrapper.options for wrapper in model.wrappers)):
            yield from texts_in(options)


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


def _password(url: str) -> str:
    try:
        return urlsplit(url).password or ""
    except ValueError:
        return ""
