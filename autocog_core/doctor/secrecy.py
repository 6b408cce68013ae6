"""Secrets that are told openly, in the config or the environment: none may appear in a report."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from autocog_core import redaction
from autocog_core.config.config_file import Config, ModelConfig
from autocog_core.redaction import is_secret_name, texts_in


def conceal_all(config: Config | None) -> None:
    """Let `redact` know the environment's secrets, and those that the config holds."""
    for name, value in os.environ.items():
        if is_secret_name(name):
            redaction.register_secret(value)
        else:
            # HTTPS_PROXY=http://me:password@proxy
            redaction.register_secret_url(value)
    for model in config.models.values() if config is not None else ():
        for key, value in (*_options(model), *texts_in(model.completion)):
            redaction.register_secret_option(key, value)


def conceal_hidden(model: ModelConfig, hidden: Sequence[Sequence[str]]) -> None:
    """Let `redact` know options that plugins themselves keep out of sight.

    :param hidden: their names: of the backend, then of each wrapper, as far as they were told.
    """
    options = (model.options, *(wrapper.options for wrapper in model.wrappers))
    for given, names in zip(options, hidden, strict=False):
        for name in names:
            for _, value in texts_in(given.get(name)):
                redaction.register_secret_words(value)


def named_variables(config: Config | None) -> list[str]:
    """The environment variables that the config's options take values from, sorted."""
    prefix = redaction.ENV_PREFIX
    models = config.models.values() if config is not None else ()
    values = [value for model in models for _, value in _options(model)]
    return sorted({value.removeprefix(prefix) for value in values if value.startswith(prefix)})


def _options(model: ModelConfig) -> Iterator[tuple[str, str]]:
    for options in (model.options, *(wrapper.options for wrapper in model.wrappers)):
        yield from texts_in(options)
