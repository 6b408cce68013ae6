"""The key and the headers of requests. All of them are registered as secrets."""

from __future__ import annotations

from autocog_core import ConfigError
from autocog_core.toolkit import from_environment, is_secret_name, register_secret_words
from autocog_openai.connection.options import OpenAIOptions

DEFAULT_KEY = "env:OPENAI_API_KEY"


def read_headers(options: OpenAIOptions) -> dict[str, str]:
    """Return the option `headers`, with the values of `env:NAME`.

    :raises ConfigError: for a variable that is not set, and for text that no header can have.
    """
    headers = {}
    for name, option in options.headers.items():
        value = _read(option, where=f"headers.{name}")
        register_secret_words(value)
        headers[name] = _check(value, where=f"headers.{name}")
    return headers


def read_key(options: OpenAIOptions, headers: dict[str, str]) -> str | None:
    """Return the key; None if there is none.

    :param headers: with a key among them, such as `api-key`, the default key is not read.
    :raises ConfigError: if a key is needed and there is none.
    """
    if options.api_key is not None:
        key = _read(options.api_key, where="api_key")
        register_secret_words(key)
        return _check(key, where="api_key")
    if any(map(is_secret_name, headers)):
        return None
    key = (from_environment(DEFAULT_KEY) or "").strip()
    if not key and options.base_url is None:
        raise _missing_error(DEFAULT_KEY, where="api_key")
    register_secret_words(key)
    return _check(key, where="OPENAI_API_KEY") or None


def _read(option: str, where: str) -> str:
    if not option.startswith("env:"):
        return option.strip()
    value = (from_environment(option) or "").strip()
    if not value:
        raise _missing_error(option, where)
    return value


def _check(value: str, where: str) -> str:
    if value.isascii() and (value.isprintable() or not value):
        return value
    raise ConfigError(
        "the value has characters that a header cannot have",
        where=where,
        hint="use one line of printable ASCII characters",
    )


def _missing_error(option: str, where: str) -> ConfigError:
    return ConfigError(
        f"{option.removeprefix('env:')} is not set",
        where=where,
        hint=f'set it, or give {where} = "env:NAME"',
    )
