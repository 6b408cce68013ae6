"""The file of a recording: JSON lines, the first of which describes the model.

Each other line is one call: its key, a summary of its arguments, and its answer. Arrays are in
base64. A file whose name ends in .gz is compressed.
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
from autocog_core.files import write_atomically
from autocog_core.types.backend_info import BackendInfo
from autocog_core.version import __version__
from autocog_core.wrappers.jsonl_file import lock_file, resolve_link, unlock_file, unwritable_error
from autocog_core.wrappers.serialization import Packed, pack
from autocog_core.wrappers.summaries import summarize_value

FORMAT = 1
#: Properties of a model, beside its fingerprint, that affect its answers.
_IDENTITY_FIELDS = ("context_length", "vocabulary_size", "bos", "adds_bos", "eos", "capabilities")
_RECORD_AGAIN = 'record again with the wrapper "record"'
Line = dict[str, Any]
_INFO: TypeAdapter[BackendInfo] = TypeAdapter(BackendInfo)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call to record.

    :ivar hook: the hook.
    :ivar key: the key of the call.
    :ivar arguments: the arguments, which the file holds as a summary.
    :ivar answer: the answer.
    :ivar is_nondeterministic: whether the call may have another answer the next time.
    """

    hook: str
    key: bytes
    arguments: Any
    answer: Any
    is_nondeterministic: bool = False


@dataclass
class Recording:
    """Contents of a recording.

    :ivar info: description of the recorded model.
    :ivar answers: answers by key, in their order; only nondeterministic calls have several.
    """

    info: BackendInfo
    answers: dict[str, list[Packed]] = field(default_factory=dict)


class Recorder:
    """A recording that is open for writing.

    :param path: the file, which may hold calls of an earlier run.
    :param info: description of the recorded model.
    :param capabilities: the hooks that the backend implements.
    :raises InputError: if the file cannot be written, or is not a recording of this model.
    """

    def __init__(self, path: Path, info: BackendInfo, capabilities: tuple[str, ...]) -> None:
        self._path = path
        self._is_compressed = path.suffix == ".gz"
        self._lock = threading.Lock()
        self._file_lock = lock_file(path)
        try:
            self._keys = _prepare_file(path, _make_head(info, capabilities))
            self._stream = _open(path, "ab")
            # Closes the file if the program does not: a .gz file would lack its end.
            self._finalize = weakref.finalize(
                self, _close, self._stream, self._file_lock, os.getpid()
            )
        except OSError as error:
            unlock_file(self._file_lock)
            raise unwritable_error(path, error) from error
        except BaseException:
            unlock_file(self._file_lock)
            raise

    def add(self, call: Call) -> None:
        """Record a call. A deterministic call is recorded once.

        :param call: the call.
        :raises ContractError: if the answer is not of the hook's type.
        :raises InputError: if the file cannot be written.
        """
        key = call.key.hex()
        with self._lock:
            if key in self._keys and not call.is_nondeterministic:
                return
            line = _make_line(call)
            self._keys.add(key)
            try:
                self._stream.write(_to_json_line(line))
                # Lines that are flushed one by one would compress badly.
                if not self._is_compressed:
                    self._stream.flush()
            except OSError as error:
                raise unwritable_error(self._path, error) from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._finalize()


def read_recording(path: Path) -> Recording:
    """Read a recording.

    :param path: the file.
    :raises InputError: if the file cannot be read, or is not a recording.
    """
    try:
        lines = list(_complete_lines(path))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
    recording = Recording(_read_info(path, _parse_line(path, 1, lines[0] if lines else b"")))
    for number, raw in enumerate(lines[1:], 2):
        line = _parse_line(path, number, raw)
        try:
            packed = Packed(line["answer"], base64.b64decode(line.get("raw", ""), validate=True))
            recording.answers.setdefault(line["key"], []).append(packed)
        except (KeyError, TypeError, ValueError) as error:
            raise _bad_line(path, number) from error
    return recording


def _prepare_file(path: Path, head: Line) -> set[str]:
    """Create the file, or remove the incomplete last line of an earlier run; return its keys."""
    lines = list(_complete_lines(path)) if path.exists() else []
    if lines:
        _require_same_model(path, _parse_line(path, 1, lines[0]), head)
    calls = ((number, _parse_line(path, number, line)) for number, line in enumerate(lines[1:], 2))
    keys = {_read_key(path, number, line) for number, line in calls}
    content = b"".join(lines or [_to_json_line(head)])
    with write_atomically(resolve_link(path)) as stream:
        # The suffix of a link decides, not that of its target.
        stream.write(gzip.compress(content) if path.suffix == ".gz" else content)
    return keys


def _make_head(info: BackendInfo, capabilities: tuple[str, ...]) -> Line:
    model = {item.name: getattr(info, item.name) for item in dataclasses.fields(info)}
    del model["compute_fingerprint"]
    model["capabilities"] = capabilities
    model["special_tokens"] = [dataclasses.asdict(token) for token in info.special_tokens]
    model["details"] = dict(info.details)
    return {
        "autocog recording": FORMAT,
        "version": __version__,
        "fingerprint": info.fingerprint,
        "model": model,
    }


def _make_line(call: Call) -> Line:
    try:
        head, raw = pack(call.hook, call.answer)
    except (TypeError, ValueError, AttributeError) as error:
        raise ContractError(f"the answer cannot be recorded: {error}", where=call.hook) from error
    line = {
        "hook": call.hook,
        "key": call.key.hex(),
        "arguments": summarize_value(call.arguments),
        "answer": head,
    }
    return {**line, "raw": base64.b64encode(raw).decode()} if raw else line


def _read_info(path: Path, head: Line) -> BackendInfo:
    _require_format(path, head)
    try:
        fingerprint = str(head["fingerprint"])
        return dataclasses.replace(
            _INFO.validate_python(head["model"]), compute_fingerprint=lambda: fingerprint
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _bad_line(path, 1) from error


def _require_format(path: Path, head: Line) -> None:
    if head.get("autocog recording") != FORMAT:
        raise InputError(
            "is not a recording that this version of autocog can read",
            where=str(path),
            hint=_RECORD_AGAIN,
        )


def _require_same_model(path: Path, before: Line, now: Line) -> None:
    _require_format(path, before)
    hint = "name another file, or remove this one and record again"
    if before.get("fingerprint") != now["fingerprint"]:
        raise InputError("is a recording of another model", where=str(path), hint=hint)
    if not now["fingerprint"]:
        raise InputError(
            "exists already, and the model has no fingerprint to compare with the recording",
            where=str(path),
            hint=hint,
        )
    # Through JSON, where tuples become lists.
    old_model, model = before.get("model"), json.loads(json.dumps(now["model"], default=str))
    for name in _IDENTITY_FIELDS:
        old = old_model.get(name) if isinstance(old_model, dict) else None
        if old != model[name]:
            raise InputError(
                f"was recorded with another {name}: {old}, now {model[name]}",
                where=str(path),
                hint=hint,
            )


def _read_key(path: Path, number: int, line: Line) -> str:
    try:
        return str(line["key"])
    except KeyError as error:
        raise _bad_line(path, number) from error


def _complete_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines, without an incomplete last line of a killed process."""
    with _open(path, "rb") as stream:
        try:
            for line in stream:
                if line.endswith(b"\n"):
                    yield line
        except (EOFError, zlib.error):
            return


def _parse_line(path: Path, number: int, line: bytes) -> Line:
    try:
        data = json.loads(line)
    except ValueError as error:
        raise _bad_line(path, number) from error
    if not isinstance(data, dict):
        raise _bad_line(path, number)
    return data


def _bad_line(path: Path, number: int) -> InputError:
    return InputError(
        "is not a line of a recording", where=f"{path}, line {number}", hint=_RECORD_AGAIN
    )


def _to_json_line(line: Line) -> bytes:
    return json.dumps(line, separators=(",", ":"), default=str).encode() + b"\n"


def _open(path: Path, mode: str) -> BufferedIOBase:
    open_file = gzip.open if path.suffix == ".gz" else open
    return cast("BufferedIOBase", open_file(path, mode))


def _close(stream: BufferedIOBase, lock: FileLock, process: int) -> None:
    # A forked child inherits the buffer and the lock, but they belong to its parent.
    if process != os.getpid():
        return
    try:
        stream.close()
    finally:
        unlock_file(lock)
