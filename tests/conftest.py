"""Settings that all tests share."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.support.soak import count

settings.register_profile(
    "autocog",
    max_examples=count(normal=50, soak=100),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("autocog")
