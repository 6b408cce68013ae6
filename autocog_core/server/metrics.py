"""Counters for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

#: Bounds of durations, in seconds.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class ServerMetrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "autocog_requests",
            "Answered requests; the status 499 means that the client was gone.",
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
        self._tokens = Counter(
            "autocog_tokens_evaluated",
            "Tokens that engines evaluated for the results of calls.",
            ["model"],
            registry=self._registry,
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

    def count_tokens(self, model: str, count: int) -> None:
        """Count tokens that a model evaluated."""
        self._tokens.labels(model).inc(count)

    def text(self, waiting: int, busy_seconds: Mapping[str, float]) -> bytes:
        """Return all counters in Prometheus' text format.

        :param waiting: how many calls wait now.
        :param busy_seconds: by loaded model: the time in which it made calls.
        """
        self._waiting.set(waiting)
        return generate_latest(_AllMetrics(self._registry, busy_seconds))


class _AllMetrics(CollectorRegistry):
    """All metrics, without the time at which each began, which is of no use here.

    :param registry: the counters.
    :param busy_seconds: by loaded model: the time in which it made calls.
    """

    def __init__(self, registry: Collector, busy_seconds: Mapping[str, float]) -> None:
        super().__init__()
        self._counters = registry
        self._busy_seconds = busy_seconds

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        for metric in self._counters.collect():
            metric.samples = [s for s in metric.samples if not s.name.endswith("_created")]
            yield metric
        busy = CounterMetricFamily(
            "autocog_engine_seconds", "Time in which threads made calls.", labels=["model"]
        )
        for name, seconds in self._busy_seconds.items():
            busy.add_metric([name], seconds)
        yield busy
