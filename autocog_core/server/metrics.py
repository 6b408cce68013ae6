"""Counters for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

#: Bounds of durations, in seconds.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class ServerMetrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "autocog_requests",
            "Answered requests.",
            ["route", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "autocog_request_seconds",
            "Time from a request to the end of its answer.",
            ["route"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self._calls = Counter(
            "autocog_calls", "Calls of models.", ["model"], registry=self._registry
        )
        self._waiting = Gauge(
            "autocog_waiting_calls",
            "Calls of models that wait or are being made.",
            registry=self._registry,
        )

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count an answered request.

        :param route: the route, such as "/v1/choose"; not the path, which clients choose.
        :param status: the status of the answer.
        :param seconds: how long it took.
        """
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_calls(self, model: str, count: int) -> None:
        """Count calls of a model."""
        self._calls.labels(model).inc(count)

    def text(self, waiting: int) -> bytes:
        """Return all counters in Prometheus' text format.

        :param waiting: how many calls wait now.
        """
        self._waiting.set(waiting)
        return generate_latest(self._registry)
