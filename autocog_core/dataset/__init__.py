"""Run an automaton on the rows of a file, and write one output row for each.

In short:

    with autocog.load("smol") as model:
        summary = run_file(Run(automaton, model), Path("rows.jsonl"), Path("out.jsonl"))
"""

from __future__ import annotations

from autocog_core.dataset.accuracy import Accuracy
from autocog_core.dataset.columns import check_columns
from autocog_core.dataset.compare_norms import compare_norms
from autocog_core.dataset.expected import Gold, is_same_answer
from autocog_core.dataset.export import export_rows
from autocog_core.dataset.file_run import run_file
from autocog_core.dataset.input_file import InputFile
from autocog_core.dataset.input_rows import Row, count_rows, read_rows
from autocog_core.dataset.merge import merge_shards
from autocog_core.dataset.norm_comparison import NormComparison, NormResult
from autocog_core.dataset.output_row import OutputRow, make_output_row
from autocog_core.dataset.progress import Progress
from autocog_core.dataset.row_result import RowResult
from autocog_core.dataset.row_source import RowSource
from autocog_core.dataset.run import Run
from autocog_core.dataset.run_estimate import (
    RunEstimate,
    SampleRun,
    estimate_rows,
    run_sample,
)
from autocog_core.dataset.run_plan import RunPlan
from autocog_core.dataset.run_rows import run_frame, run_rows
from autocog_core.dataset.shard import Shard
from autocog_core.dataset.summary import Summary, SummaryBuilder, summarize
from autocog_core.dataset.table_columns import TableOptions
from autocog_core.dataset.usage import UsageMeter

__all__ = [
    "Accuracy",
    "Gold",
    "InputFile",
    "NormComparison",
    "NormResult",
    "OutputRow",
    "Progress",
    "Row",
    "RowResult",
    "RowSource",
    "Run",
    "RunEstimate",
    "RunPlan",
    "SampleRun",
    "Shard",
    "Summary",
    "SummaryBuilder",
    "TableOptions",
    "UsageMeter",
    "check_columns",
    "compare_norms",
    "count_rows",
    "estimate_rows",
    "export_rows",
    "is_same_answer",
    "make_output_row",
    "merge_shards",
    "read_rows",
    "run_file",
    "run_frame",
    "run_rows",
    "run_sample",
    "summarize",
]
