"""Runners: where the rows of a data set are worked on.

In short:

    models = ModelReferences.of_config("smol")
    with RunnerRun(automaton, models, load_runner("shards", workers=4)) as run:
        summary = run_file(run, Path("rows.jsonl"), Path("out.jsonl"))
"""

from __future__ import annotations

from autocog_core.runners.batch_queue import BatchQueue
from autocog_core.runners.batches import make_batches, run_in_order
from autocog_core.runners.job import Batch, Job
from autocog_core.runners.load import load_runner
from autocog_core.runners.local import LocalRunner
from autocog_core.runners.messages import Message, MessageCollector, collect_messages
from autocog_core.runners.model_references import ModelReferences
from autocog_core.runners.runner import MAX_BATCHES_AHEAD, Runner, RunnerOptions
from autocog_core.runners.runner_run import RunnerRun
from autocog_core.runners.shards import ShardsRunner
from autocog_core.runners.worker import WorkedBatch, WorkedRow, Worker, WorkerReport

__all__ = [
    "MAX_BATCHES_AHEAD",
    "Batch",
    "BatchQueue",
    "Job",
    "LocalRunner",
    "Message",
    "MessageCollector",
    "ModelReferences",
    "Runner",
    "RunnerOptions",
    "RunnerRun",
    "ShardsRunner",
    "WorkedBatch",
    "WorkedRow",
    "Worker",
    "WorkerReport",
    "collect_messages",
    "load_runner",
    "make_batches",
    "run_in_order",
]
