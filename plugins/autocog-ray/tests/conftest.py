"""One Ray for all tests of a process: it takes seconds to start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

ray = pytest.importorskip("ray")


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    from autocog_ray.connection import connect

    connect(processors=4)
    yield
    ray.shutdown()
