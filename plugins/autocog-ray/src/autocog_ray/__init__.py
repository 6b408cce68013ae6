"""Runs of autocog on Ray: the runner `ray`, and programs as a step of Ray Data.

In short:

    dataset = run_dataset("topics.yaml", "smol", ray.data.read_parquet("rows/"), workers=4)
"""

from __future__ import annotations

from autocog_ray.dataset import run_dataset
from autocog_ray.options import RayOptions
from autocog_ray.runner import RayRunner

__all__ = ["RayOptions", "RayRunner", "run_dataset"]
