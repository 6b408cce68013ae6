"""The JSON Schemas of programs, trees and reports, each in a file `NAME.json`.

`python -m autocog_core.schemas` generates them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from autocog_core.program.schema import json_schema
from autocog_core.schemas.report import report_schema
from autocog_core.schemas.tree import tree_schema

FOLDER = Path(__file__).parent
SCHEMAS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "program": json_schema,
    "report": report_schema,
    "tree": tree_schema,
}


def schema_text(name: str) -> str:
    """Return the text of a schema's file."""
    return json.dumps(SCHEMAS[name](), indent=2, ensure_ascii=False) + "\n"
