"""OpenTelemetry spans of hook calls."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from autocog_core.errors import ConfigError
from autocog_core.version import __version__


class OtelSpans:
    """Source of spans. The running program configures their destination (`opentelemetry-sdk`).

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
        self._error_status = trace.Status(trace.StatusCode.ERROR)

    @contextmanager
    def span(self, event: Mapping[str, Any]) -> Iterator[None]:
        """Open a span around a block; its attributes are the contents of `event` at the end."""
        # OpenTelemetry must not record exceptions: their messages may contain secrets.
        with self._tracer.start_as_current_span(
            f"autocog.{event['hook']}", record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield
            finally:
                span.set_attribute("autocog.model", event["model"])
                span.set_attribute("autocog.arguments", json.dumps(event["arguments"]))
                for name, count in event.get("tokens", {}).items():
                    span.set_attribute(f"autocog.tokens.{name}", count)
                if "answer" in event:
                    span.set_attribute("autocog.answer", json.dumps(event["answer"]))
                if "error" in event:
                    span.set_attribute("autocog.error", event["error"])
                    span.set_status(self._error_status)
