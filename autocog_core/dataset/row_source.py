"""Where the rows of a data set are, and what a file's name or content says about its format."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from autocog_core.errors import InputError, shorten

Format = Literal["csv", "tsv", "json", "jsonl", "parquet", "datasets"]
Compression = Literal["", "gzip", "zstd"]

#: The formats of files by suffix.
FILE_FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
COMPRESSIONS: dict[str, Compression] = {".gz": "gzip", ".zst": "zstd"}
#: Files that `datasets` writes into a folder.
_STATE_FILE, _SPLITS_FILE = "state.json", "dataset_dict.json"
_BLANKS = re.compile(rb"(?:\xef\xbb\xbf)?\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSource:
    """A file or folder with rows, and how to read it.

    :ivar path: the file, or the folder that `datasets` saved.
    :ivar name: what messages call it.
    :ivar format: "csv", "tsv", "json", "jsonl", "parquet" or "datasets".
    :ivar compression: "gzip" or "zstd"; "" for none.
    """

    path: Path
    name: str
    format: Format
    compression: Compression = ""

    @classmethod
    def of(cls, source: Path | RowSource, format_: Format | None = None) -> Self | RowSource:
        """Return the source that a path stands for.

        :param source: a file or folder, or a source, which is returned as it is.
        :param format_: the format of a file; None for the one that its suffix names.
        :raises InputError: if the suffix names no format, or the folder has no or several splits.
        """
        if isinstance(source, RowSource):
            return source
        name = str(source)
        if _is_folder(source):
            if format_ is not None:
                raise InputError("is a folder, and has no format", where=name)
            return cls(path=_find_split(source), name=name, format="datasets")
        compression = COMPRESSIONS.get(source.suffix.lower(), "")
        suffix = (source.with_suffix("") if compression else source).suffix.lower()
        if format_ is None and suffix not in FILE_FORMATS:
            shown = f'cannot read rows from "{suffix}" files' if suffix else "has no suffix"
            hint = (
                f"use one of {', '.join(FILE_FORMATS)}, also compressed ({', '.join(COMPRESSIONS)})"
                ", or a folder saved by `datasets`; name the format of any other file: "
                "--input-format"
            )
            raise InputError(shown, where=name, hint=hint)
        return cls(
            path=source,
            name=name,
            format=format_ or FILE_FORMATS[suffix],
            compression=compression,
        )

    def files(self) -> list[Path]:
        """Return the files that hold the rows, in their order.

        :raises InputError: if a folder is damaged.
        """
        if self.format != "datasets":
            return [self.path]
        state = _read_json(self.path / _STATE_FILE)
        entries = state.get("_data_files") if isinstance(state, dict) else None
        names = [entry.get("filename") for entry in entries or () if isinstance(entry, dict)]
        if not names or not all(isinstance(name, str) for name in names):
            raise InputError("names no data files", where=str(self.path / _STATE_FILE))
        assert isinstance(state, dict)
        if state.get("_indices_files"):
            hint = "save it again: dataset.flatten_indices().save_to_disk(...)"
            raise InputError("holds its rows in another order", where=self.name, hint=hint)
        return [self.path / str(name) for name in names]


def guess_compression(start: bytes) -> Compression:
    """Return the compression of a file from its first bytes."""
    if start.startswith(b"\x1f\x8b"):
        return "gzip"
    return "zstd" if start.startswith(b"\x28\xb5\x2f\xfd") else ""


def guess_format(start: bytes) -> Format:
    """Return the format of a file from its first bytes, after decompression.

    JSON begins with a bracket, and anything else is a table of text.
    """
    if start.startswith(b"PAR1"):
        return "parquet"
    text = start[_BLANKS.match(start).end() :]  # type: ignore[union-attr]
    if not text or text.startswith(b"{"):
        return "jsonl"
    if text.startswith(b"["):
        return "json"
    header = text.split(b"\n", 1)[0]
    return "tsv" if b"\t" in header and b"," not in header else "csv"


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        # What is wrong is reported when it is opened.
        return False


def _find_split(folder: Path) -> Path:
    """Return the folder of a data set; of one with a single split, that of the split."""
    if (folder / _STATE_FILE).exists():
        return folder
    if not (folder / _SPLITS_FILE).exists():
        hint = "name a file, or a folder that `save_to_disk` of `datasets` wrote"
        raise InputError("is a folder without a data set", where=str(folder), hint=hint)
    data = _read_json(folder / _SPLITS_FILE)
    splits = data.get("splits") if isinstance(data, dict) else None
    if not isinstance(splits, list) or not splits:
        raise InputError("names no splits", where=str(folder / _SPLITS_FILE))
    if len(splits) > 1:
        names = shorten(", ".join(str(folder / str(split)) for split in splits), 400)
        hint = f"name the folder of one: {names}"
        raise InputError("has several splits", where=str(folder), hint=hint)
    return folder / str(splits[0])


def _read_json(path: Path) -> object:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"cannot be read: {shorten(str(reason), 200)}", where=str(path)) from error
