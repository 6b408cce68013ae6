"""Generate the schemas in this folder."""

from __future__ import annotations

from autocog_core.schemas import FOLDER, SCHEMAS, schema_text

for name in SCHEMAS:
    (FOLDER / f"{name}.json").write_text(schema_text(name), encoding="utf-8")
