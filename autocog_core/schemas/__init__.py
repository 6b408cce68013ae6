"""The JSON Schemas of what autocog reads and writes: `program.json` and `tree.json`.

`python -m autocog_core.schemas` writes them anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from autocog_core.program.schema import json_schema
from autocog_core.schemas.tree import tree_schema

FOLDER = Path(__file__).parent
SCHEMAS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "program": json_schema,
    "tree": tree_schema,
}


def written(name: str) -> str:
    """A schema as its file says it."""
    return json.dumps(SCHEMAS[name](), indent=2, ensure_ascii=False) + "\n"
