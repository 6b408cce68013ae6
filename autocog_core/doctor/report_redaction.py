"""Keep secrets out of reports: those of the environment, of the config, and of plugins' options."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from autocog_core import redaction
from autocog_core.config.config_file import Config, ModelConfig
from autocog_core.redaction import find_texts, is_secret_name, redact


def register_secrets(config: Config | None = None) -> None:
    """Register the secrets of the environment and of the config, so that `redact` removes them."""
    for name, value in os.environ.items():
        if is_secret_name(name):
            redaction.register_secret(value)
        else:
            # HTTPS_PROXY=http://me:password@proxy
            redaction.register_secret_url(value)
    for model in config.models.values() if config is not None else ():
        for key, value in (*_option_texts(model), *find_texts(model.completion)):
            redaction.register_secret_option(key, value)


def register_hidden_options(model: ModelConfig, hidden: Sequence[Sequence[str]]) -> None:
    """Register the values of options that plugins declare as hidden.

    :param hidden: the names of hidden options: of the backend, then of each wrapper. It may be
        shorter, if the process that collects them ended early.
    """
    for options, names in zip(_option_tables(model), hidden, strict=False):
        for name in names:
            for _, value in find_texts(options.get(name)):
                redaction.register_secret_words(value)


def referenced_variables(config: Config | None) -> list[str]:
    """Return the environment variables that the config's options refer to, sorted."""
    prefix = redaction.ENV_PREFIX
    models = config.models.values() if config is not None else ()
    values = [value for model in models for _, value in _option_texts(model)]
    return sorted({value.removeprefix(prefix) for value in values if value.startswith(prefix)})


def to_json_data(value: Any) -> Any:
    """Return `value` as JSON data without secrets; other types become text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {_to_key(key): to_json_data(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json_data(entry) for entry in value]
    return redact(str(value))


def _to_key(key: object) -> str:
    # An identifier is a name from the code, even if a secret is the same word.
    text = str(key)
    return text if text.isidentifier() else redact(text)


def _option_tables(model: ModelConfig) -> list[dict[str, Any]]:
    return [model.options, *(wrapper.options for wrapper in model.wrappers)]


def _option_texts(model: ModelConfig) -> Iterator[tuple[str, str]]:
    for options in _option_tables(model):
        yield from find_texts(options)
