"""Files with rows in every format and compression."""

from __future__ import annotations

import csv
import gzip
import importlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

Rows = Sequence[dict[str, Any]]


def write_table(path: Path, rows: Rows, delimiter: str) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def write_csv(path: Path, rows: Rows) -> None:
    write_table(path, rows, ",")


def write_tsv(path: Path, rows: Rows) -> None:
    write_table(path, rows, "\t")


def write_json(path: Path, rows: Rows) -> None:
    path.write_text(json.dumps(list(rows), indent=1), encoding="utf-8")


def write_jsonl(path: Path, rows: Rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_parquet(path: Path, rows: Rows) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.Table.from_pylist(list(rows)), path)


def write_saved_dataset(path: Path, rows: Rows, files: int = 3, batch: int = 4) -> None:
    """Write a folder as `save_to_disk` of `datasets` does."""
    arrow = pytest.importorskip("pyarrow")
    path.mkdir()
    names = [f"data-{index:05}-of-{files:05}.arrow" for index in range(files)]
    state = {"_data_files": [{"filename": name} for name in names], "_split": "train"}
    (path / "state.json").write_text(json.dumps(state))
    schema = arrow.Table.from_pylist(list(rows)).schema
    share = -(-len(rows) // files)
    for index, name in enumerate(names):
        part = list(rows[index * share : (index + 1) * share])
        with arrow.ipc.new_stream(str(path / name), schema) as stream:
            table = arrow.Table.from_pylist(part, schema)
            for recorded in table.to_batches(max_chunksize=batch):
                stream.write_batch(recorded)


def compress(path: Path, compression: str) -> None:
    """Compress a file where it is."""
    content = path.read_bytes()
    if compression == ".gz":
        path.write_bytes(gzip.compress(content, mtime=0))
    elif compression == ".zst":
        # With a checksum, as the program zstd writes it.
        options = {zstd().CompressionParameter.checksum_flag: 1}
        path.write_bytes(zstd().compress(content, options=options))


def zstd() -> Any:
    name = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    return pytest.importorskip(name) and importlib.import_module(name)


WRITERS: dict[str, Callable[[Path, Rows], None]] = {
    ".csv": write_csv,
    ".tsv": write_tsv,
    ".json": write_json,
    ".jsonl": write_jsonl,
    ".parquet": write_parquet,
    "": write_saved_dataset,
}
#: The suffixes of all files, and "" for a saved data set.
SUFFIXES = [*(f"{name}{more}" for name in WRITERS if name for more in ("", ".gz", ".zst")), ""]


def write_rows(folder: Path, suffix: str, rows: Rows, name: str = "rows") -> Path:
    """Write rows into a file or folder; return it."""
    path = folder / f"{name}{suffix}"
    compression = path.suffix if path.suffix in (".gz", ".zst") else ""
    WRITERS[suffix.removesuffix(compression)](path, rows)
    if compression:
        compress(path, compression)
    return path
