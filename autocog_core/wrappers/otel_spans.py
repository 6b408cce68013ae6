"""OpenTelemetry spans of hook calls, where its API is installed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from autocog_core.errors import ConfigError
from autocog_core.version import __version__


class Spans:
    """Makes spans; where they go is set up by the program that runs (`opentelemetry-sdk`).

    :raises ConfigError: if `opentelemetry-api` is not installed.
    """

    def __init__(self) -> None:
        try:
            from opentelemetry import trace
        except ImportError as error:
            raise ConfigError(
                "spans need OpenTelemetry's API, which is not installed",
                where="trace.spans",
                hint="pip install opentelemetry-api",
            ) from error
        self._tracer = trace.get_tracer("autocog", __version__)
        self._failed = trace.Status(trace.StatusCode.ERROR)

    @contextmanager
    def span(self, told: Mapping[str, Any]) -> Iterator[None]:
        """A span around what is done inside, with what is `told` of it by then."""
        # Not by itself: its text of an error has no secrets taken out.
        with self._tracer.start_as_current_span(
            f"autocog.{told['hook']}", record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield
            finally:
                span.set_attribute("autocog.model", told["model"])
                span.set_attribute("autocog.arguments", json.dumps(told["arguments"]))
                for name, count in told.get("tokens", {}).items():
                    span.set_attribute(f"autocog.tokens.{name}", count)
                if "answer" in told:
                    span.set_attribute("autocog.answer", json.dumps(told["answer"]))
                if "error" in told:
                    span.set_attribute("autocog.error", told["error"])
                    span.set_status(self._failed)
