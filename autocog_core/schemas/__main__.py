"""Writes the schemas into this folder."""

from __future__ import annotations

from autocog_core.schemas import FOLDER, SCHEMAS, written

for name in SCHEMAS:
    (FOLDER / f"{name}.json").write_text(written(name), encoding="utf-8")
