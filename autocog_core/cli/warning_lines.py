"""Warnings of autocog as lines on stderr; other warnings stay as Python shows them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from autocog_core.advice.issue import AutocogWarning, silence
from autocog_core.cli.session import session
from autocog_core.controls import escape_controls
from autocog_core.errors import AutocogError, append_hint


@contextmanager
def warnings_on_stderr() -> Iterator[None]:
    """Show the warnings of autocog in one line each, with the hints of the session."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def show_line(message: Warning | str, *arguments: Any, **options: Any) -> None:
            if isinstance(message, AutocogWarning):
                session.warn(append_hint(str(message), session.warning_hints.get(message.code, "")))
            else:
                # A library may quote data. Python prints a text like the warning itself.
                text = escape_controls(str(message))
                show(message if text == str(message) else text, *arguments, **options)

        warnings.showwarning = show_line
        yield


def silence_configured(config: Path | None) -> None:
    """Silence what the config file silences, if there is a valid one.

    :param config: the file; None to search for it. Commands that need it report its errors.
    """
    from autocog_core.config.config_file import read_config

    with suppress(AutocogError):
        silence(*read_config(config).warnings.silence)
