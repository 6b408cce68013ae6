"""Data sets: rows in, one row out for each, with its fields and probabilities.

with autocog.load("smol") as model:
    summary = run_file(Run(automaton, model), Path("rows.jsonl"), Path("out.jsonl"))
"""

from __future__ import annotations

from autocog_core.run.gold import Gold
from autocog_core.run.rows import Row, count_rows, read_rows
from autocog_core.run.runner import Answer, Progress, Run, check_columns, run_file
from autocog_core.run.summary import Accuracy, Summary, Tally, summarize
from autocog_core.run.usage import Meter

__all__ = [
    "Accuracy",
    "Answer",
    "Gold",
    "Meter",
    "Progress",
    "Row",
    "Run",
    "Summary",
    "Tally",
    "check_columns",
    "count_rows",
    "read_rows",
    "run_file",
    "summarize",
]
