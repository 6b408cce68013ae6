"""The runner `ray` keeps the laws of runners, on a local Ray."""

from __future__ import annotations

import pytest
from autocog_ray import RayRunner

from autocog_core.runners import Runner
from autocog_core.testing import RunnerContractTests

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("local_ray")]


class TestRay(RunnerContractTests):
    def make_runner(self) -> Runner:
        return RayRunner(workers=2)
