"""A worker in a process of its own, which a pipe connects with its caller."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from autocog_core.errors import AutocogError, EngineError
from autocog_core.runners.job import Batch, Job
from autocog_core.runners.messages import collect_messages
from autocog_core.runners.worker import WorkedBatch, Worker, WorkerReport

#: Seconds that a process has to end by itself, and then after SIGTERM.
_SECONDS_TO_END = 5.0
#: How many threads engines take, unless the user has said it.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "LOKY_MAX_CPU_COUNT")


class WorkerProcess:
    """A process that loads the models of a job, sends its report, and then works on batches.

    :param job: the job.
    :param threads: how many threads its engines take, unless the user's environment says it.
    :ivar batch: the number of the batch that it works on; None while it starts or waits.
    :ivar report: what it has loaded; None while it starts.
    :ivar connection: ready to read when `receive` has something to return, or the process died.
    """

    def __init__(self, job: Job, threads: int) -> None:
        # Not a fork: engines have threads and locks that a fork does not have.
        context = get_context("spawn")
        self.batch: int | None = None
        self.report: WorkerReport | None = None
        self.connection, child = context.Pipe()
        self._process: SpawnProcess = context.Process(
            target=_serve, args=(child, job, threads), daemon=True
        )
        self._process.start()
        # Then reading ends when the process does.
        child.close()

    @property
    def is_idle(self) -> bool:
        """Whether it waits for a batch."""
        return self.report is not None and self.batch is None

    def send(self, number: int, batch: Batch) -> None:
        """Begin to work on a batch.

        :param number: its number.
        :param batch: the batch.
        """
        self.batch = number
        # If it has died, `receive` says so.
        with suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(batch)

    def receive(self) -> WorkedBatch | None:
        """Return the next batch's result; None if it has started, with its `report`.

        :raises EOFError: if the process has died.
        :raises AutocogError: if it cannot start.
        """
        try:
            answer = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.join(_SECONDS_TO_END)
            raise EOFError(_describe_exit(self._process.exitcode)) from None
        if isinstance(answer, AutocogError):
            raise answer
        if isinstance(answer, WorkerReport):
            self.report = answer
            return None
        self.batch = None
        assert isinstance(answer, WorkedBatch)
        return answer

    def stop(self) -> None:
        """End the process: at once, if it is at work."""
        self.connection.close()
        if not self.is_idle:
            self._process.terminate()
        self._process.join(_SECONDS_TO_END)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()


def _serve(connection: Connection, job: Job, threads: int) -> None:
    """Work until the caller closes the connection, or ends."""
    # Ctrl-C reaches all processes of a terminal: the caller decides what ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in _THREAD_VARIABLES:
        os.environ.setdefault(name, str(threads))
    try:
        with collect_messages() as messages, Worker(job) as worker:
            connection.send(worker.start())
            while True:
                worked = worker.run(connection.recv())
                connection.send(worked.with_messages(messages.take()))
    except (EOFError, ConnectionError):
        return
    except AutocogError as error:
        connection.send(error)
    except Exception as error:
        connection.send(EngineError(f"a worker raised {type(error).__name__}: {error}"))
        raise


def _describe_exit(code: int | None) -> str:
    if code is not None and code < 0:
        return f"killed by signal {-code}"
    return f"exit code {code}"
