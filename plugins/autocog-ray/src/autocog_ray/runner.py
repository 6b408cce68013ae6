"""The runner `ray`: workers that are actors of a Ray cluster."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import ray

from autocog_core import ConfigError, EngineError
from autocog_core.runners import (
    MAX_BATCHES_AHEAD,
    Batch,
    BatchQueue,
    Job,
    Runner,
    WorkedBatch,
    WorkerReport,
)
from autocog_ray.calls import WorkerLostError, describe_resources, result_of
from autocog_ray.connection import connect
from autocog_ray.options import RayOptions
from autocog_ray.pool import WorkerPool

log = logging.getLogger(__name__)

#: How often workers may be lost at one batch. Without an end, a row that always kills its worker
#: would keep the run for ever.
MAX_LOSSES = 10
#: Seconds between two messages that no worker has loaded its models.
_MESSAGE_SECONDS = 15.0


class RayRunner(Runner):
    """Works on the rows in actors of Ray, each of which loads the models.

    The run begins when the first worker has loaded them. Others join as the cluster has a place for
    them. If a worker's process or its node is lost, the other workers take its batches, and Ray
    starts another one where there is a place.

    With `max_workers`, workers are added while batches wait, at most as many at once as there are.
    Those above `workers` end when no batch is left for them.
    """

    Options = RayOptions

    def __init__(
        self,
        workers: int | None = None,
        max_workers: int | None = None,
        gpus_per_worker: float = 0.0,
        cpus_per_worker: float | None = None,
        address: str | None = None,
    ) -> None:
        self._workers = workers
        self._max_workers = max_workers
        self._gpus = gpus_per_worker
        self._cpus = cpus_per_worker
        self._address = address
        self._owns_connection = False
        self._pool: WorkerPool | None = None
        self._running: dict[Any, tuple[int, Any]] = {}
        self._losses: Counter[int] = Counter()

    @property
    def workers(self) -> int:
        """The number of workers, those included that have no place yet."""
        return max(self._workers or 1, self._max_workers or 1)

    @property
    def workers_at_start(self) -> int:
        """The number of workers that `start` has started, those included that have no place yet."""
        return self._workers or 1

    def start(self, job: Job) -> WorkerReport:
        """Start the workers, and wait for the first of them."""
        try:
            self._owns_connection = connect(self._address)
            self._workers = self._workers or self._default_workers()
            self._require_resources()
            self._pool = WorkerPool(job, num_cpus=self._cpus_of_worker(), num_gpus=self._gpus)
            for _ in range(self._workers):
                self._pool.add()
            while not (reports := self._wait()):
                pass
            return reports[0]
        except BaseException:
            self.stop()
            raise

    def run(self, batches: Iterable[Batch]) -> Iterator[WorkedBatch]:
        """Yield the result of each batch, in order."""
        pool = self._pool
        assert pool is not None
        queue = BatchQueue(batches, MAX_BATCHES_AHEAD * self.workers)
        self._running.clear()
        self._losses.clear()
        try:
            while True:
                self._hand_out(pool, queue)
                if (worked := queue.next_result()) is not None:
                    yield worked
                elif queue.is_finished:
                    return
                else:
                    self._wait(queue)
        finally:
            for call, (_, actor) in self._running.items():
                # Nobody wants it any more.
                ray.cancel(call)
                pool.free(actor)
            self._running.clear()

    def stop(self) -> None:
        """Close the models and end the workers; end Ray if this runner has started it."""
        pool, self._pool = self._pool, None
        if ray.is_initialized():
            if pool is not None:
                pool.end()
            if self._owns_connection:
                ray.shutdown()
        self._owns_connection = False

    def _hand_out(self, pool: WorkerPool, queue: BatchQueue) -> None:
        """Give batches to the workers with room for one; add workers, or end them."""
        while actors := list(pool.with_room()):
            for actor in actors:
                if (taken := queue.take()) is None:
                    if queue.is_exhausted:
                        pool.shrink(self.workers_at_start)
                    return
                number, batch = taken
                self._running[pool.begin(actor, batch)] = number, actor
        if queue.has_waiting:
            pool.grow(self.workers)

    def _wait(self, queue: BatchQueue | None = None) -> list[WorkerReport]:
        """Wait for a call of a worker, and return the reports of workers that have started.

        :param queue: gets the results, and batches whose workers are lost.
        :raises EngineError: if workers are lost again and again.
        """
        assert self._pool is not None
        ready, _ = ray.wait([*self._running, *self._pool.starting], timeout=_MESSAGE_SECONDS)
        if not ready and not self._running:
            log.info("no worker has loaded its models yet: %s", describe_resources())
        reports = []
        for call in ready:
            if call in self._pool.starting:
                reports.append(self._pool.report_of(call))
                continue
            number, actor = self._running.pop(call)
            assert queue is not None
            try:
                queue.put(number, result_of(call))
                self._pool.free(actor)
            except WorkerLostError as error:
                self._losses[number] += 1
                if self._losses[number] >= MAX_LOSSES:
                    raise EngineError(
                        f"{MAX_LOSSES} workers were lost at {queue.rows_of(number)}; "
                        f"the last time: {error.message}",
                        where='runner "ray"',
                        hint="look into Ray's log files; if memory is short, give fewer workers",
                    ) from error
                self._pool.replace(actor)
                queue.put(number, None)
        return [report for report in reports if report is not None]

    def _default_workers(self) -> int:
        if self._gpus:
            return max(1, int(ray.cluster_resources().get("GPU", 0) / self._gpus))
        return max(1, len([node for node in ray.nodes() if node["Alive"]]))

    def _cpus_of_worker(self) -> float:
        if self._cpus is not None or not self._owns_connection or self._address is not None:
            return 1.0 if self._cpus is None else self._cpus
        share = ray.cluster_resources().get("CPU", 1) / self.workers
        # Ray takes whole processors, or a part of one.
        return float(int(share)) if share >= 1 else int(share * 100) / 100

    def _require_resources(self) -> None:
        """Check that one worker has a place, where none can be added.

        :raises ConfigError: if this computer lacks the GPUs.
        """
        has = ray.cluster_resources().get("GPU", 0)
        if self._address is None and self._owns_connection and self._gpus > has:
            raise ConfigError(
                f"a worker needs {self._gpus:g} GPUs, and this computer has {has:g}",
                where='runner "ray"',
                hint="give fewer GPUs per worker, or the address of a cluster",
            )
