"""Warnings and log messages of a worker, which its caller shows."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from autocog_core.advice.issue import AutocogWarning
from autocog_core.redaction import redact

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Message:
    """A warning, or a line of a log.

    :ivar text: the text.
    :ivar code: the code of an `AutocogWarning`; None for a line of a log.
    :ivar level: the level of a line of a log.
    """

    text: str
    code: str | None = None
    level: int = logging.WARNING


class MessageCollector(logging.Handler):
    """Keeps what is logged and what warnings are issued, until `take`."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._messages: list[Message] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line of a log."""
        self._messages.append(Message(redact(self.format(record)), level=record.levelno))

    def show_warning(self, message: Warning | str, *arguments: object, **options: object) -> None:
        """Keep a warning of autocog: in place of `warnings.showwarning`."""
        # Warnings of libraries are for their authors: with many workers, they would be many.
        if isinstance(message, AutocogWarning):
            self._messages.append(Message(str(message), code=message.code))

    def take(self) -> tuple[Message, ...]:
        """Return the messages since the last call."""
        messages, self._messages = tuple(self._messages), []
        return messages


@contextmanager
def collect_messages() -> Iterator[MessageCollector]:
    """Collect the messages of this process in place of showing them.

    It is for a process that does nothing but work for another one.
    """
    collector = MessageCollector()
    root = logging.getLogger()
    root.addHandler(collector)
    with warnings.catch_warnings():
        warnings.showwarning = collector.show_warning
        try:
            yield collector
        finally:
            root.removeHandler(collector)


class MessageRelay:
    """Shows messages of workers in this process, each once: all workers have the same ones."""

    def __init__(self) -> None:
        self._shown: set[Message] = set()

    def show(self, messages: Iterable[Message]) -> None:
        """Issue the warnings, and log the other messages, that were not shown before."""
        for message in messages:
            if message in self._shown:
                continue
            self._shown.add(message)
            if message.code is None:
                log.log(message.level, "%s", message.text)
            else:
                warning = AutocogWarning(message.text)
                warning.code = message.code
                warnings.warn(warning, stacklevel=2)
