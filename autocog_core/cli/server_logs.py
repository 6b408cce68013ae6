"""The logs of `autocog serve`: errors of its libraries as messages, and the access log."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from autocog_core.cli.session import session
from autocog_core.errors import ConfigError
from autocog_core.redaction import redact
from autocog_core.server import ACCESS_LOGGER

#: Loggers of the libraries. Without handlers, Python writes their errors to stderr.
_LIBRARIES = ("uvicorn.error", "asyncio")
#: What the app has logged in its own words, or what is an error of a client.
_KNOWN = ("Exception in ASGI application", "Unsupported upgrade request")


class _LibraryErrors(logging.Handler):
    """Shows errors in one line each, and with --debug their tracebacks."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text.startswith(_KNOWN):
            return
        if text.startswith("Cancel "):
            session.warn("the time to answer is over; requests under way get an error")
            return
        kind = record.exc_info[0] if record.exc_info else None
        suffix = f": {kind.__name__}" if kind is not None else ""
        session.warn(redact(text.partition("\n")[0] + suffix))
        if session.debug and record.exc_info:
            session.write_traceback(redact(logging.Formatter().formatException(record.exc_info)))


class _AccessLines(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes the lines of the access log. A full disk is a warning, once: requests go on."""

    has_warned = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name in logging
        """Say that a line is lost."""
        if not self.has_warned:
            self.has_warned = True
            session.warn(f"cannot write the access log: {sys.exc_info()[1]}")


@contextmanager
def server_logs(access_log: str | None) -> Iterator[None]:
    """Show errors of the server's libraries, and write the access log, within a block.

    :param access_log: the file of the access log; "-" for standard output, None for none.
    :raises ConfigError: if the file cannot be written.
    """
    errors = _LibraryErrors(logging.ERROR)
    loggers = [logging.getLogger(name) for name in _LIBRARIES]
    for logger in loggers:
        logger.addHandler(errors)
        logger.propagate = False
    try:
        with _access_log(access_log):
            yield
    finally:
        for logger in loggers:
            logger.removeHandler(errors)
            logger.propagate = True


@contextmanager
def _access_log(path: str | None) -> Iterator[None]:
    if path is None:
        yield
        return
    try:
        stream = sys.stdout if path == "-" else open(path, "a", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise ConfigError(f"cannot write the access log: {error.strerror}", where=path) from None
    handler = _AccessLines(stream)
    logger = logging.getLogger(ACCESS_LOGGER)
    level, propagates = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagates
        if stream is not sys.stdout:
            stream.close()
