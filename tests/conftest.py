"""Settings that all tests share, and the folder of `laws` and `helpers` on the path."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))

from soak import count

settings.register_profile(
    "autocog",
    max_examples=count(normal=50, soak=100),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("autocog")
