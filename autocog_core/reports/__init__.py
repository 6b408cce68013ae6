"""Reports of finished runs: figures about their rows, and a page that draws them.

In short:

    report = make_report([Path("out.jsonl")], gold="label")
    Path("report.html").write_text(report_page(report), encoding="utf-8")
"""

from __future__ import annotations

from autocog_core.reports.figures.definitions import RunFigures
from autocog_core.reports.figures.report_definitions import PairFigures, ReportFigures
from autocog_core.reports.page import report_page
from autocog_core.reports.report import Report, make_report, report_json

__all__ = [
    "PairFigures",
    "Report",
    "ReportFigures",
    "RunFigures",
    "make_report",
    "report_json",
    "report_page",
]
