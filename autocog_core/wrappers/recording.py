"""The file of a recording: JSON lines, the first of which tells of the model.

Each other line is one call: its key, its arguments shortened, its answer, and in base64 what would
be long as text. A path that ends in .gz is compressed.
"""

from __future__ import annotations

import base64
import dataclasses
import gzip
import json
import os
import threading
import weakref
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BufferedIOBase
from pathlib import Path
from typing import Any, cast

from filelock import FileLock
from pydantic import TypeAdapter

from autocog_core.errors import ContractError, InputError
from autocog_core.types.backend_info import BackendInfo
from autocog_core.version import __version__
from autocog_core.wrappers.jsonl_file import lock_of, target_of, unlock, unwritable
from autocog_core.wrappers.serialization import Packed, pack
from autocog_core.wrappers.summaries import short

FORMAT = 1
#: Facts of a model, beside its fingerprint, by which it answers or refuses.
_DECISIVE = ("context_length", "vocabulary_size", "bos", "adds_bos", "eos", "capabilities")
Line = dict[str, Any]
_INFO: TypeAdapter[BackendInfo] = TypeAdapter(BackendInfo)


@dataclass
class Recording:
    """What a file holds.

    :ivar info: of the model that was recorded.
    :ivar answers: by key, in the order in which they came; several only for what is drawn.
    """

    info: BackendInfo
    answers: dict[str, list[Packed]] = field(default_factory=dict)


class Recorder:
    """Adds calls to a file, those of an earlier run included only once.

    :raises InputError: if it cannot be written, is no recording, or is one of another model.
    """

    def __init__(self, path: Path, info: BackendInfo, capabilities: tuple[str, ...]) -> None:
        self._path = path
        self._compressed = path.suffix == ".gz"
        self._lock = threading.Lock()
        self._file_lock = lock_of(path)
        try:
            whole = list(_whole_lines(path)) if path.exists() else []
            head = _head(info, capabilities)
            if whole:
                _require_same(path, _parsed(path, 1, whole[0]), head)
            known = (_parsed(path, number, line) for number, line in enumerate(whole[1:], 2))
            self._known = {_key_of(path, number, line) for number, line in enumerate(known, 2)}
            # Whole lines only: what a killed process left of one must not stand between others.
            _write(path, [*whole, *([] if whole else [_line(head)])])
            self._stream = _opened(path, "ab")
            # Also when the process ends without it: a .gz would lack its end.
            self._end = weakref.finalize(self, _close, self._stream, self._file_lock, os.getpid())
        except OSError as error:
            unlock(self._file_lock)
            raise unwritable(path, error) from error
        except BaseException:
            unlock(self._file_lock)
            raise

    def add(self, hook: str, key: bytes, arguments: Any, answer: Any, always: bool) -> None:
        """Add a call, unless it is there already.

        :param always: also if it is: its next answer may be another one.
        """
        with self._lock:
            if key.hex() in self._known and not always:
                return
            try:
                head, raw = pack(hook, answer)
            except (TypeError, ValueError, AttributeError) as error:
                raise ContractError(
                    f"its answer cannot be recorded: {error}", where=hook
                ) from error
            line = {"hook": hook, "key": key.hex(), "asked": short(arguments), "answer": head}
            if raw:
                line["raw"] = base64.b64encode(raw).decode()
            self._known.add(key.hex())
            try:
                self._stream.write(_line(line))
                # Compressed, lines that are flushed one by one would be long.
                if not self._compressed:
                    self._stream.flush()
            except OSError as error:
                raise unwritable(self._path, error) from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._end()


def read_recording(path: Path) -> Recording:
    """What was recorded.

    :raises InputError: if the file cannot be read, or is no recording.
    """
    try:
        lines = list(_whole_lines(path))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
    found = Recording(_info(path, _parsed(path, 1, lines[0] if lines else b"")))
    for number, raw in enumerate(lines[1:], 2):
        line = _parsed(path, number, raw)
        try:
            packed = Packed(line["answer"], base64.b64decode(line.get("raw", ""), validate=True))
            found.answers.setdefault(line["key"], []).append(packed)
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(path, number) from error
    return found


def _head(info: BackendInfo, capabilities: tuple[str, ...]) -> Line:
    told = {each.name: getattr(info, each.name) for each in dataclasses.fields(info)}
    del told["compute_fingerprint"]
    told["capabilities"] = capabilities
    told["special_tokens"] = [dataclasses.asdict(token) for token in info.special_tokens]
    told["details"] = dict(info.details)
    return {
        "autocog recording": FORMAT,
        "version": __version__,
        "fingerprint": info.fingerprint,
        "model": told,
    }


def _info(path: Path, head: Line) -> BackendInfo:
    _require_format(path, head)
    try:
        fingerprint = str(head["fingerprint"])
        return dataclasses.replace(
            _INFO.validate_python(head["model"]), compute_fingerprint=lambda: fingerprint
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, 1) from error


def _require_format(path: Path, head: Line) -> None:
    if head.get("autocog recording") != FORMAT:
        raise InputError(
            "is no recording that this version of autocog reads",
            where=str(path),
            hint='record it anew with the wrapper "record"',
        )


def _require_same(path: Path, before: Line, now: Line) -> None:
    _require_format(path, before)
    hint = "name another file, or remove this one to record it anew"
    if before.get("fingerprint") != now["fingerprint"]:
        raise InputError("is a recording of another model", where=str(path), hint=hint)
    if not now["fingerprint"]:
        raise InputError(
            "is a recording, and the model has no fingerprint that tells whether it is of the same",
            where=str(path),
            hint=hint,
        )
    # As JSON has them: tuples are lists there.
    model, told = before.get("model"), json.loads(json.dumps(now["model"], default=str))
    for name in _DECISIVE:
        was = model.get(name) if isinstance(model, dict) else None
        if was != told[name]:
            raise InputError(
                f"was recorded with another {name}: {was}, now {told[name]}",
                where=str(path),
                hint=hint,
            )


def _key_of(path: Path, number: int, line: Line) -> str:
    try:
        return str(line["key"])
    except KeyError as error:
        raise _damaged(path, number) from error


def _whole_lines(path: Path) -> Iterator[bytes]:
    """The lines that were written to their end; the last one of a killed process was not."""
    with _opened(path, "rb") as stream:
        try:
            for line in stream:
                if line.endswith(b"\n"):
                    yield line
        except (EOFError, zlib.error):
            return


def _parsed(path: Path, number: int, line: bytes) -> Line:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise _damaged(path, number) from error
    if not isinstance(found, dict):
        raise _damaged(path, number)
    return found


def _damaged(path: Path, number: int) -> InputError:
    return InputError(
        "is no line of a recording",
        where=f"{path}, line {number}",
        hint='record it anew with the wrapper "record"',
    )


def _line(record: Line) -> bytes:
    return json.dumps(record, separators=(",", ":"), default=str).encode() + b"\n"


def _write(path: Path, lines: list[bytes]) -> None:
    target = target_of(path)
    part = target.with_name(f"{target.name}.part")
    with gzip.open(part, "wb") if path.suffix == ".gz" else part.open("wb") as stream:
        stream.writelines(lines)
    part.replace(target)


def _opened(path: Path, mode: str) -> BufferedIOBase:
    opened = gzip.open if path.suffix == ".gz" else open
    return cast("BufferedIOBase", opened(path, mode))


def _close(stream: BufferedIOBase, lock: FileLock, process: int) -> None:
    # A forked child has them too: what is in the buffer, and the lock, are its parent's.
    if process != os.getpid():
        return
    try:
        stream.close()
    finally:
        unlock(lock)
