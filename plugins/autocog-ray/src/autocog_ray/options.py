"""The options of the runner `ray`."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from autocog_core.runners import RunnerOptions


class RayOptions(RunnerOptions):
    """The options of `ray`.

    :ivar workers: the number of workers; None for one on each GPU if they use GPUs, else one on
        each node.
    :ivar max_workers: the highest number of workers; None for `workers`.
    :ivar gpus_per_worker: the GPUs of each worker; workers share one with a part, such as 0.5.
    :ivar cpus_per_worker: the processors of each worker, and the threads of its engines; None
        shares those of a cluster that is started here.
    :ivar address: the address of a cluster, "auto" for the one that runs on this computer; None
        starts one here.
    """

    workers: int | None = Field(None, ge=1, le=100_000)
    max_workers: int | None = Field(None, ge=1, le=100_000)
    gpus_per_worker: float = Field(0.0, ge=0)
    cpus_per_worker: float | None = Field(None, gt=0)
    address: str | None = None

    @model_validator(mode="after")
    def _check_range(self) -> Self:
        if self.max_workers is not None and self.max_workers < (self.workers or 1):
            raise ValueError(f"max_workers: is below workers, which are {self.workers}")
        return self
