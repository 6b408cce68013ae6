"""The JSON Schema of a report; `autocog_core.reports.figures` documents the values."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from autocog_core.reports.figures.report_definitions import ReportFigures


def report_schema() -> dict[str, Any]:
    """Return the JSON Schema of what `autocog report --json` writes."""
    schema = TypeAdapter(ReportFigures).json_schema(mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "autocog report",
    }
