"""Data sets: rows in, one row out for each, with its fields and probabilities.

with autocog.load("smol") as model:
    summary = run_file(Run(automaton, model), Path("rows.jsonl"), Path("out.jsonl"))
"""

from __future__ import annotations

from autocog_core.dataset.expected import Gold
from autocog_core.dataset.input_rows import Row, count_rows, read_rows
from autocog_core.dataset.output_row import Record, record_of
from autocog_core.dataset.runner import Answer, Progress, Run, check_columns, run_file
from autocog_core.dataset.summary import Accuracy, Summary, Tally, summarize
from autocog_core.dataset.usage import Meter

__all__ = [
    "Accuracy",
    "Answer",
    "Gold",
    "Meter",
    "Progress",
    "Record",
    "Row",
    "Run",
    "Summary",
    "Tally",
    "check_columns",
    "count_rows",
    "read_rows",
    "record_of",
    "run_file",
    "summarize",
]
