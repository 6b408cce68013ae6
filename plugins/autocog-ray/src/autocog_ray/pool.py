"""The workers of a runner: actors of Ray, some of which may be lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ray

from autocog_core import EngineError
from autocog_core.runners import Batch, Job, WorkerReport
from autocog_ray.actor import RowActor
from autocog_ray.calls import WorkerLostError, result_of

#: How often a worker may be lost, one after the other, while it loads the models.
MAX_LOSSES_AT_START = 3
#: Batches that a worker has at once: the next one is there when it has finished one.
_BATCHES_PER_WORKER = 2
#: Seconds that workers have to close their models.
_CLOSE_SECONDS = 5.0


class WorkerPool:
    """Actors with a worker each.

    Ray does not restart them: in place of a lost one, the pool makes another one. So it knows how
    often that happens.

    :param job: what the workers do.
    :param options: what each needs, as `num_cpus` and `num_gpus`.
    :ivar starting: the calls that load models, each with its actor.
    """

    def __init__(self, job: Job, **options: float) -> None:
        self._actor_class: Any = ray.remote(RowActor).options(
            **options,
            max_restarts=0,
            # A batch must not wait for a worker that has no place: another one takes it.
            max_task_retries=0,
        )
        # One copy for all, in the memory of this node. In a list, Ray does not resolve it.
        self._job = [ray.put(job)]
        #: By actor, how often it and those before it were lost while they started.
        self._losses: dict[Any, int] = {}
        self._room: dict[Any, int] = {}
        self.starting: dict[Any, Any] = {}

    def __len__(self) -> int:
        """Return how many workers there are, those included that are starting."""
        return len(self._losses)

    def add(self, losses: int = 0) -> None:
        """Add a worker, which loads its models as soon as the cluster has a place for it."""
        actor = self._actor_class.remote()
        self._losses[actor] = losses
        self.starting[actor.start.remote(self._job)] = actor

    def grow(self, highest: int) -> None:
        """Add workers, at most as many as there are."""
        # A short run then needs few, and a long one soon has all.
        while len(self) < highest and len(self.starting) < len(self._room):
            self.add()

    def shrink(self, lowest: int) -> None:
        """End workers that do not work."""
        for actor in reversed(list(self._losses)):
            if len(self) <= lowest:
                return
            if self._room.get(actor, _BATCHES_PER_WORKER) == _BATCHES_PER_WORKER:
                self._end([actor])

    def report_of(self, start: Any) -> WorkerReport | None:
        """Return the report of a worker that has started; None if it is lost, and replaced.

        :param start: the call that is ready.
        :raises AutocogError: if its models cannot be loaded.
        :raises EngineError: if it was lost again and again.
        """
        actor = self.starting.pop(start)
        try:
            report: WorkerReport = result_of(start)
        except WorkerLostError as error:
            losses = self._losses[actor] + 1
            if losses >= MAX_LOSSES_AT_START:
                raise EngineError(
                    f"a worker was lost {losses} times while it started; "
                    f"the last time: {error.message}",
                    where='runner "ray"',
                    hint="look into Ray's log files; if memory is short, give fewer workers",
                ) from error
            self._end([actor])
            self.add(losses)
            return None
        self._losses[actor] = 0
        self._room[actor] = _BATCHES_PER_WORKER
        return report

    def replace(self, actor: Any) -> None:
        """Add a worker in place of a lost one, unless that has happened."""
        if actor in self._room:
            # It may still be there, behind a broken network.
            self._end([actor], close=False)
            self.add()

    def with_room(self) -> Iterator[Any]:
        """Yield the workers with room for a batch; first those with most room."""
        yield from sorted(filter(self._room.get, self._room), key=lambda actor: -self._room[actor])

    def begin(self, actor: Any, batch: Batch) -> Any:
        """Let a worker work on a batch; return the call."""
        self._room[actor] -= 1
        return actor.run.remote(batch)

    def free(self, actor: Any) -> None:
        """Enter that a worker has finished a batch, unless it is lost."""
        if actor in self._room:
            self._room[actor] += 1

    def end(self) -> None:
        """Close the models and end the workers."""
        self._end(list(self._losses))

    def _end(self, actors: list[Any], *, close: bool = True) -> None:
        # Those at work would close their models only after it.
        idle = [actor for actor in actors if self._room.get(actor) == _BATCHES_PER_WORKER]
        if closing := [actor.close.remote() for actor in idle if close]:
            ray.wait(closing, num_returns=len(closing), timeout=_CLOSE_SECONDS)
        for actor in actors:
            ray.kill(actor)
            self._losses.pop(actor, None)
            self._room.pop(actor, None)
        self.starting = {
            call: actor for call, actor in self.starting.items() if actor in self._losses
        }
