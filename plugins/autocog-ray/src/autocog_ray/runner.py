"""The runner `ray`: workers that are actors of a Ray cluster."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import ray
from pydantic import Field
from ray.exceptions import RayError, RayTaskError

from autocog_core import AutocogError, ConfigError, EngineError
from autocog_core.runners import (
    MAX_BATCHES_AHEAD,
    Batch,
    BatchQueue,
    Job,
    Runner,
    RunnerOptions,
    WorkedBatch,
    WorkerReport,
)
from autocog_ray.actor import RowActor
from autocog_ray.connection import connect

log = logging.getLogger(__name__)

#: How often workers may be lost at one batch. Without an end, a row that always kills its worker
#: would keep the run for ever.
MAX_LOSSES = 10
#: Batches that a worker has at once: the next one is there when it has finished one.
_BATCHES_PER_WORKER = 2
#: Seconds between two messages that the cluster has no place for a worker.
_MESSAGE_SECONDS = 15.0
#: Seconds that workers have to close their models.
_CLOSE_SECONDS = 5.0


class RayOptions(RunnerOptions):
    """The options of `ray`.

    :ivar workers: the number of workers; None for one on each GPU if they use GPUs, else one on
        each node.
    :ivar gpus_per_worker: the GPUs of each worker; workers share one with a part, such as 0.5.
    :ivar cpus_per_worker: the processors of each worker, and the threads of its engines; None
        shares those of a cluster that is started here.
    :ivar address: the address of a cluster, "auto" for the one that runs on this computer; None
        starts one here.
    """

    workers: int | None = Field(None, ge=1, le=100_000)
    gpus_per_worker: float = Field(0.0, ge=0)
    cpus_per_worker: float | None = Field(None, gt=0)
    address: str | None = None


class RayRunner(Runner):
    """Works on the rows in actors of Ray, each of which loads the models.

    The run begins when the first worker has loaded them. Others join as the cluster has a place for
    them. If a worker's process or its node is lost, the other workers take its batches, and Ray
    starts it again where there is a place.
    """

    Options = RayOptions

    def __init__(
        self,
        workers: int | None = None,
        gpus_per_worker: float = 0.0,
        cpus_per_worker: float | None = None,
        address: str | None = None,
    ) -> None:
        self._workers = workers
        self._gpus = gpus_per_worker
        self._cpus = cpus_per_worker
        self._address = address
        self._owns_connection = False
        self._job: list[Any] = []
        self._actors: list[Any] = []
        self._starting: dict[Any, Any] = {}
        self._running: dict[Any, tuple[int, Any]] = {}
        self._losses: Counter[int] = Counter()
        self._idle: dict[Any, int] = {}

    @property
    def workers(self) -> int:
        """The number of workers, those included that have no place yet."""
        return self._workers or 1

    def start(self, job: Job) -> WorkerReport:
        """Start the workers, and wait for the first of them."""
        try:
            self._owns_connection = connect(self._address)
            self._workers = self._workers or self._default_workers()
            self._require_resources()
            actor = ray.remote(RowActor).options(
                num_cpus=self._cpus_of_worker(),
                num_gpus=self._gpus,
                max_restarts=-1,
                # A batch must not wait for a worker that has no place: another one takes it.
                max_task_retries=0,
            )
            # One copy for all, in the memory of this node.
            self._job = [ray.put(job)]
            self._actors = [actor.remote() for _ in range(self._workers)]
            self._starting = {self._begin(actor): actor for actor in self._actors}
            while not (reports := self._wait()):
                pass
            return reports[0]
        except BaseException:
            self.stop()
            raise

    def run(self, batches: Iterable[Batch]) -> Iterator[WorkedBatch]:
        """Yield the result of each batch, in order."""
        queue = BatchQueue(batches, MAX_BATCHES_AHEAD * self.workers)
        self._running.clear()
        self._losses.clear()
        try:
            while True:
                self._hand_out(queue)
                if (worked := queue.next_result()) is not None:
                    yield worked
                elif queue.is_finished:
                    return
                else:
                    self._wait(queue)
        finally:
            for reference, (_, actor) in self._running.items():
                # Nobody wants it any more.
                ray.cancel(reference)
                self._free(actor)
            self._running.clear()

    def stop(self) -> None:
        """Close the models and end the workers; end Ray if this runner has started it."""
        if ray.is_initialized():
            # Those at work would close their models only after it.
            idle = [actor for actor, free in self._idle.items() if free == _BATCHES_PER_WORKER]
            if closing := [actor.close.remote() for actor in idle]:
                ray.wait(closing, num_returns=len(closing), timeout=_CLOSE_SECONDS)
            for actor in self._actors:
                ray.kill(actor)
            if self._owns_connection:
                ray.shutdown()
        self._owns_connection = False
        self._job, self._actors, self._starting, self._idle = [], [], {}, {}

    def _begin(self, actor: Any) -> Any:
        """Let a worker load its models, whenever it has a place."""
        return actor.start.options(max_task_retries=-1).remote(self._job)

    def _hand_out(self, queue: BatchQueue) -> None:
        """Give batches to the workers with room for one, first to those with most room."""
        while True:
            actors = sorted(self._idle, key=lambda actor: -self._idle[actor])
            actors = [actor for actor in actors if self._idle[actor]]
            if not actors:
                return
            for actor in actors:
                if (taken := queue.take()) is None:
                    return
                number, batch = taken
                self._running[actor.run.remote(self._job, batch)] = number, actor
                self._idle[actor] -= 1

    def _wait(self, queue: BatchQueue | None = None) -> list[WorkerReport]:
        """Wait for a call of a worker, and return the reports of workers that have started.

        :param queue: gets the results, and batches whose workers are lost.
        :raises EngineError: if workers are lost again and again.
        """
        waiting = [*self._running, *self._starting]
        ready, _ = ray.wait(waiting, timeout=_MESSAGE_SECONDS)
        if not ready and not self._running:
            log.info("no worker has a place: %s", _resources())
        reports = []
        for reference in ready:
            if reference in self._starting:
                actor = self._starting.pop(reference)
                reports.append(_result(reference))
                self._idle[actor] = _BATCHES_PER_WORKER
                continue
            number, actor = self._running.pop(reference)
            assert queue is not None
            try:
                queue.put(number, _result(reference))
                self._free(actor)
            except WorkerLostError as error:
                self._losses[number] += 1
                if self._losses[number] >= MAX_LOSSES:
                    raise EngineError(
                        f"{MAX_LOSSES} workers were lost at {queue.rows_of(number)}; "
                        f"the last time: {error.message}",
                        where='runner "ray"',
                        hint="look into Ray's log files; if memory is short, give fewer workers",
                    ) from error
                self._restart(actor)
                queue.put(number, None)
        return reports

    def _free(self, actor: Any) -> None:
        """Let a worker take another batch, unless it is starting again."""
        if actor in self._idle:
            self._idle[actor] += 1

    def _restart(self, actor: Any) -> None:
        """Give no batches to a worker until Ray has started it again."""
        if actor in self._idle:
            del self._idle[actor]
            self._starting[self._begin(actor)] = actor

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


class WorkerLostError(EngineError):
    """The process or the node of a worker is lost."""


def _result(reference: Any) -> Any:
    """Return the result of a call of a worker.

    :raises AutocogError: the error of the call.
    :raises WorkerLostError: if the worker is lost.
    """
    try:
        return ray.get(reference)
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, AutocogError):
            raise cause from None
        raise EngineError(f"a worker raised {type(cause).__name__}: {cause}") from error
    except RayError as error:
        reason = " ".join(str(error).split())[:200]
        raise WorkerLostError(f"a worker of Ray is lost: {reason}", where='runner "ray"') from error


def _resources() -> str:
    """Return what a cluster has, and what of it is free."""
    total, free = ray.cluster_resources(), ray.available_resources()
    names = [name for name in ("CPU", "GPU") if name in total]
    return ", ".join(f"{free.get(name, 0):g} of {total[name]:g} {name}s are free" for name in names)
